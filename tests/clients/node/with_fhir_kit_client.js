/**
 * What fhir-kit-client does against a hub, by its public API alone.
 *
 * FHIR_BASE is the hub. FHIR_NHS_NUMBER belongs to a Patient there who has FHIR_OBSERVATIONS
 * Observations, the n-th of the n-th of March 2026; other Patients have more.
 */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import test from 'node:test';

import { CapabilityTool, Client } from 'fhir-kit-client';

const { FHIR_BASE: baseUrl, FHIR_NHS_NUMBER: number } = process.env;
const OBSERVATIONS = Number(process.env.FHIR_OBSERVATIONS);
const SEEDED = `https://fhir.nhs.uk/Id/nhs-number|${number}`;
const SYSTEM = 'https://example.org/client';

const client = new Client({ baseUrl });
const token = (value) => `${SYSTEM}|${value}`;
const headers = (answer) => Client.httpFor(answer).response.headers;
const status = (answer) => Client.httpFor(answer).response.status;
const ofSeeded = { 'patient.identifier': SEEDED };

/** A Patient who is not in the record yet. */
const someone = (value, members = {}) => ({
  resourceType: 'Patient',
  identifier: [{ system: SYSTEM, value }],
  name: [{ family: 'Baxter', given: ['Ada'] }],
  birthDate: '1961-04-02',
  ...members,
});

const create = (value, members) =>
  client.create({ resourceType: 'Patient', body: someone(value, members) });

const withValue = (value) =>
  client.search({ resourceType: 'Patient', searchParams: { identifier: token(value) } });

/** Asserts that it is refused with this status, and gives the OperationOutcome's first issue. */
async function refused(expected, promise) {
  const error = await promise.then(() => assert.fail('it was not refused'), (error) => error);
  assert.equal(error.response?.status, expected, error.stack);
  assert.equal(error.response.data.resourceType, 'OperationOutcome');
  return error.response.data.issue[0];
}

/** All matches, page by page. */
async function walk(bundle) {
  const pages = [];
  for (let page = bundle; page; page = await client.nextPage({ bundle: page })) pages.push(page);
  return pages;
}

const resources = (pages) => pages.flatMap((page) => page.entry.map((entry) => entry.resource));

test('the capability statement says what can be done', async () => {
  const statement = await client.capabilityStatement();
  const tool = new CapabilityTool(statement);
  for (const interaction of ['transaction', 'batch', 'history-system']) {
    assert.ok(tool.serverCan(interaction), interaction);
  }
  const interactions = tool.interactionsFor({ resourceType: 'Patient' });
  for (const one of ['read', 'vread', 'update', 'patch', 'delete', 'create', 'search-type',
    'history-instance', 'history-type']) {
    assert.ok(tool.resourceCan('Patient', one), one);
    assert.ok(interactions.includes(one), one);
  }
  assert.ok(tool.resourceSearch('Patient', 'identifier'));
  assert.ok(tool.searchParamsFor({ resourceType: 'Patient' }).includes('name'));
  for (const name of ['everything', 'validate']) {
    const operation = { resourceType: 'Patient', capabilityType: 'operation', where: { name } };
    assert.ok(tool.supportFor(operation), name);
  }
  const contents = (capabilityType) =>
    tool.capabilityContents({ resourceType: 'Patient', capabilityType });
  assert.deepEqual([contents('conditionalCreate'), contents('conditionalUpdate')], [true, true]);
});

test('an open hub asks for no authorisation, and minds none', async () => {
  const { authorizeUrl, tokenUrl } = await client.smartAuthMetadata();
  assert.deepEqual([authorizeUrl, tokenUrl], [undefined, undefined]);
  const bearer = new Client({ baseUrl: `${baseUrl}/`, bearerToken: 'anything' });
  const found = await bearer.search({ resourceType: 'Patient', searchParams: { _count: 1 } });
  assert.equal(found.type, 'searchset');
});

test('a resource is created, read, updated and deleted', async () => {
  const created = await create('fhir-kit-client');
  assert.equal(status(created), 201);
  assert.equal(headers(created).get('etag'), 'W/"1"');
  assert.ok(headers(created).get('last-modified'));
  const own = `${baseUrl}/Patient/${created.id}`;
  assert.equal(headers(created).get('location'), `${own}/_history/1`);
  const { id } = created;
  const body = { ...await client.read({ resourceType: 'Patient', id }), birthDate: '1961-04' };
  const updated = await client.update({ resourceType: 'Patient', id, body });
  assert.equal(updated.meta.versionId, '2');
  const doomed = await create('doomed');
  await client.delete({ resourceType: 'Patient', id: doomed.id });
  const gone = await refused(410, client.read({ resourceType: 'Patient', id: doomed.id }));
  assert.equal(gone.code, 'deleted');
});

test('every version is kept', async () => {
  const { id, ...rest } = await create('history');
  const body = { ...rest, id, birthDate: '1961' };
  await client.update({ resourceType: 'Patient', id, body });
  const first = await client.vread({ resourceType: 'Patient', id, version: '1' });
  assert.equal(first.birthDate, '1961-04-02');
  const history = await client.history({ resourceType: 'Patient', id });
  assert.deepEqual(resources([history]).map((one) => one.meta.versionId), ['2', '1']);
  for (const scope of [{ resourceType: 'Patient' }, {}]) {
    const [latest] = (await client.history(scope)).entry;
    assert.ok(latest.request.method && latest.response.status, JSON.stringify(scope));
  }
});

test('an update names the version that it replaces', async () => {
  const body = await create('lock');
  const { id } = body;
  const update = (etag, birthDate) => client.update({
    resourceType: 'Patient',
    id,
    body: { ...body, birthDate },
    options: { headers: { 'If-Match': etag } },
  });
  const updated = await update(headers(body).get('etag'), '1962');
  assert.equal(headers(updated).get('etag'), 'W/"2"');
  assert.equal((await refused(412, update('W/"1"', '1963'))).code, 'conflict');
  assert.equal((await client.read({ resourceType: 'Patient', id })).birthDate, '1962');
});

test('a write answers with what is preferred', async () => {
  const preferring = (preference) => client.create({
    resourceType: 'Patient',
    body: someone('prefer'),
    options: { headers: { Prefer: `return=${preference}` } },
  });
  const minimal = await preferring('minimal');
  assert.deepEqual([status(minimal), Object.keys(minimal)], [201, []]);
  const stored = await client.resolve({ reference: headers(minimal).get('location') });
  assert.equal(stored.resourceType, 'Patient');
  assert.equal((await preferring('representation')).resourceType, 'Patient');
  assert.equal((await preferring('OperationOutcome')).resourceType, 'OperationOutcome');
});

test('what is refused is told as an OperationOutcome', async () => {
  const missing = await refused(404, client.read({ resourceType: 'Patient', id: 'nobody' }));
  assert.equal(missing.code, 'not-found');
  const unknown = await refused(422, create('bad', { wibble: true }));
  assert.match(unknown.diagnostics, /wibble/);
  assert.equal((await refused(404, client.request('Wibble/1'))).severity, 'error');
  const strict = { headers: { Prefer: 'handling=strict' } };
  const search = { resourceType: 'Patient', searchParams: { wibble: '1' }, options: strict };
  assert.deepEqual((await refused(400, client.search(search))).expression, ['wibble']);
});

for (const postSearch of [false, true]) {
  const how = postSearch ? 'POST' : 'GET';
  const search = (searchParams, resourceType = 'Observation') =>
    client.search({ resourceType, searchParams, options: { postSearch } });

  test(`a chained search is walked page by page, by ${how}`, async () => {
    const pages = await walk(await search({ ...ofSeeded, _count: 10 }));
    assert.equal(pages.length, Math.ceil(OBSERVATIONS / 10));
    assert.equal(new Set(resources(pages).map((one) => one.id)).size, OBSERVATIONS);
    assert.equal(resources(pages).length, OBSERVATIONS);
    const typed = await search({ 'subject:Patient.identifier': SEEDED, _summary: 'count' });
    assert.deepEqual([typed.total, typed.entry], [OBSERVATIONS, undefined]);
    const first = await search({ ...ofSeeded, _count: 2, _total: 'accurate' });
    assert.equal(first.total, OBSERVATIONS);
  });

  test(`a criterion may be given twice, and results be sorted, by ${how}`, async () => {
    const date = ['ge2026-03-05', 'lt2026-03-10'];
    const code = 'http://loinc.org|8310-5';
    const found = await search({ ...ofSeeded, date, code, _sort: 'date' });
    const days = resources([found]).map((one) => one.effectiveDateTime.slice(8, 10));
    assert.deepEqual(days, ['05', '06', '07', '08', '09']);
  });

  test(`included resources come along and are resolved, by ${how}`, async () => {
    const bundle = await search({ ...ofSeeded, _include: 'Observation:subject', _count: 3 });
    const modes = bundle.entry.map((entry) => entry.search.mode);
    assert.deepEqual(modes, ['match', 'match', 'match', 'include']);
    const [{ resource: { subject: { reference } } }, , , { resource, fullUrl }] = bundle.entry;
    assert.equal(await client.resolve({ reference, context: bundle }), resource);
    assert.deepEqual({ ...await client.resolve({ reference }) }, resource);
    assert.deepEqual({ ...await client.resolve({ reference: fullUrl }) }, resource);
  });

  test(`a person is found by name, by ${how}`, async () => {
    const family = `Quillfeather-${randomUUID().slice(0, 8)}`;
    await create('name', { name: [{ family, given: ['Zoë'] }] });
    for (const searchParams of [{ family: family.toLowerCase() }, { name: family.slice(0, 15) },
      { 'family:exact': family }, { 'name:contains': family.slice(4) }, { family, given: 'zoe' }]) {
      const found = resources(await walk(await search(searchParams, 'Patient')));
      const families = found.map((one) => one.name[0].family);
      assert.ok(families.includes(family), JSON.stringify(searchParams));
    }
    const other = await search({ 'family:exact': family.toUpperCase() }, 'Patient');
    assert.equal(other.total, 0);
  });
}

test('a transaction is written as one', async () => {
  const urn = `urn:uuid:${randomUUID()}`;
  const observation = {
    resourceType: 'Observation',
    status: 'final',
    code: { text: 'seen' },
    subject: { reference: urn },
  };
  const entry = [
    { fullUrl: urn, resource: someone('tx'), request: { method: 'POST', url: 'Patient' } },
    { resource: observation, request: { method: 'POST', url: 'Observation' } },
  ];
  const body = { resourceType: 'Bundle', type: 'transaction', entry };
  const answer = await client.transaction({ body });
  assert.equal(answer.type, 'transaction-response');
  const places = answer.entry.map((one) => one.response.location.split('/_history')[0]);
  const stored = await client.request(places[1]);
  assert.equal(stored.subject.reference, places[0]);
});

test('a transaction with one bad entry writes nothing', async () => {
  const value = randomUUID();
  const entry = [
    { resource: someone(value), request: { method: 'POST', url: 'Patient' } },
    { resource: someone(value, { wibble: 1 }), request: { method: 'POST', url: 'Patient' } },
  ];
  const body = { resourceType: 'Bundle', type: 'transaction', entry };
  const issue = await refused(422, client.transaction({ body }));
  assert.deepEqual(issue.expression, ['Bundle.entry[1].resource']);
  assert.equal((await withValue(value)).total, 0);
});

test('each entry of a batch succeeds or fails alone', async () => {
  const entry = [
    { request: { method: 'GET', url: 'Patient/nobody' } },
    { resource: someone('batch'), request: { method: 'POST', url: 'Patient' } },
    { request: { method: 'GET', url: `Patient?identifier=${SEEDED}` } },
  ];
  const answer = await client.batch({ body: { resourceType: 'Bundle', type: 'batch', entry } });
  assert.equal(answer.type, 'batch-response');
  const statuses = answer.entry.map((one) => one.response.status.slice(0, 3));
  assert.deepEqual(statuses, ['404', '201', '200']);
  assert.equal(answer.entry[0].response.outcome.issue[0].code, 'not-found');
  assert.equal(answer.entry[2].resource.entry.length, 1);
});

test('a JSON Patch changes what it names', async () => {
  const { id, name } = await create('patch');
  const patch = (jsonPatch, options) =>
    client.patch({ resourceType: 'Patient', id, jsonPatch, options });
  const replace = [{ op: 'replace', path: '/birthDate', value: '1970-01-01' }];
  const changed = await patch(replace, { headers: { 'If-Match': 'W/"1"' } });
  assert.deepEqual([changed.birthDate, changed.meta.versionId], ['1970-01-01', '2']);
  assert.deepEqual(changed.name, name);
  assert.equal(headers(changed).get('etag'), 'W/"2"');
  await refused(412, patch(replace, { headers: { 'If-Match': 'W/"1"' } }));
  const untrue = patch([{ op: 'test', path: '/birthDate', value: '1900' }]);
  const error = await untrue.then(() => assert.fail('a false test'), (error) => error);
  assert.ok([400, 409, 422].includes(error.response.status), error.message);
  assert.equal(error.response.data.resourceType, 'OperationOutcome');
  assert.equal((await client.read({ resourceType: 'Patient', id })).meta.versionId, '2');
});

test('a conditional create creates once', async () => {
  const value = randomUUID();
  const once = () => client.create({
    resourceType: 'Patient',
    body: someone(value),
    options: { headers: { 'If-None-Exist': `identifier=${token(value)}` } },
  });
  const answers = await Promise.all(Array.from({ length: 8 }, once));
  assert.deepEqual(answers.map(status).sort(), [...Array(7).fill(200), 201]);
  assert.equal(new Set(answers.map((answer) => headers(answer).get('location'))).size, 1);
  assert.equal((await withValue(value)).total, 1);
  await create(value);
  await refused(412, once());
});

test('a conditional update goes to what the criteria find', async () => {
  const value = randomUUID();
  const update = (birthDate) => client.update({
    resourceType: 'Patient',
    searchParams: { identifier: token(value) },
    body: someone(value, { birthDate }),
  });
  const [first, second] = [await update('1961'), await update('1962')];
  assert.deepEqual([status(first), status(second)], [201, 200]);
  assert.deepEqual([second.id, second.meta.versionId], [first.id, '2']);
  await create(value);
  await refused(412, update('1963'));
});

test('what is known is not sent again', async () => {
  const created = await create('known');
  const options = { headers: { 'If-None-Match': headers(created).get('etag') } };
  const read = client.read({ resourceType: 'Patient', id: created.id, options });
  const error = await read.then(() => assert.fail('it was sent again'), (error) => error);
  assert.equal(error.response.status, 304);
});

test('everything of a patient is one walk', async () => {
  const { entry: [{ resource: { id } }] } = await client.search({
    resourceType: 'Patient', searchParams: { identifier: SEEDED },
  });
  for (const method of ['GET', 'POST']) {
    const everything = { name: 'everything', resourceType: 'Patient', id, method };
    const found = resources(await walk(await client.operation(everything)));
    const kinds = found.map((one) => one.resourceType);
    assert.equal(kinds.filter((kind) => kind === 'Patient').length, 1, method);
    assert.equal(kinds.filter((kind) => kind === 'Observation').length, OBSERVATIONS, method);
  }
});

test('a resource is validated without being stored', async () => {
  const value = randomUUID();
  const validate = (resource) => client.operation({
    name: '$validate',
    resourceType: 'Patient',
    input: { resourceType: 'Parameters', parameter: [{ name: 'resource', resource }] },
  });
  const failing = ({ issue }) => issue.filter(({ severity }) => /fatal|error/.test(severity));
  assert.deepEqual(failing(await validate(someone(value))), []);
  assert.equal((await withValue(value)).total, 0);
  const [issue] = failing(await validate(someone(value, { birthDate: 'tomorrow' })));
  assert.match(issue.expression[0], /Patient\.birthDate$/);
});
