// The same fan-out by hand in Node: five regions asked at once, their answers merged by date.
//   node fan_out.mjs PORT REGION_BASE…
import http from 'node:http';

const [port, ...bases] = process.argv.slice(2);
const agent = new http.Agent({ keepAlive: true });

const ask = (url) => new Promise((resolve, reject) => {
  http.get(url, { agent }, (response) => {
    const chunks = [];
    response.on('data', (chunk) => chunks.push(chunk));
    response.on('end', () => resolve(JSON.parse(Buffer.concat(chunks))));
  }).on('error', reject);
});

const dated = (entry) => entry.resource.effectiveDateTime ?? entry.resource.authoredOn ?? '';

http.createServer(async (request, response) => {
  const path = request.url.replace(/^\/FHIR\/R4/, '');
  if (path === '/metadata') {
    response.end('{"software":{"name":"Node fan-out"}}');
    return;
  }
  try {
    const bundles = await Promise.all(bases.map((base) => ask(base + path)));
    const entry = bundles.flatMap((bundle) => bundle.entry.filter((e) => e.search.mode === 'match'));
    entry.sort((a, b) => (dated(a) < dated(b) ? 1 : -1));
    response.setHeader('content-type', 'application/fhir+json');
    response.end(JSON.stringify({ resourceType: 'Bundle', type: 'searchset', total: entry.length, entry }));
  } catch {
    response.statusCode = 502;
    response.end();
  }
}).listen(Number(port), '127.0.0.1');
