"""What fhirpy does against a hub, by its public API alone: every story twice, sync and async.

FHIR_BASE is the hub. FHIR_NHS_NUMBER belongs to a Patient there who has FHIR_OBSERVATIONS
Observations, the n-th of the n-th of March 2026; other Patients have more.
"""

import inspect
import os
import unittest
from uuid import uuid4

from fhirpy import AsyncFHIRClient, SyncFHIRClient
from fhirpy.base.exceptions import MultipleResourcesFound, OperationOutcome, ResourceNotFound

BASE = os.environ["FHIR_BASE"]
SEEDED = "https://fhir.nhs.uk/Id/nhs-number|" + os.environ["FHIR_NHS_NUMBER"]
OBSERVATIONS = int(os.environ["FHIR_OBSERVATIONS"])
SYSTEM = "https://example.org/client"


async def done(answer):
    """The answer of either client: the asynchronous one's is yet to come."""
    return await answer if inspect.isawaitable(answer) else answer


def token(value):
    return f"{SYSTEM}|{value}"


def coded(code):
    return {"coding": [{"system": "http://loinc.org", "code": code}]}


class Stories:
    """The stories, whichever client tells them."""

    make = None

    def setUp(self):
        self.client = self.make(BASE)

    def patient(self, value, **members):
        """A Patient who is not in the record yet."""
        return self.client.resource("Patient", **{
            "identifier": [{"system": SYSTEM, "value": value}],
            "name": [{"family": "Baxter", "given": ["Ada"]}],
            "birthDate": "1961-04-02", **members,
        })

    def observations(self):
        return self.client.resources("Observation").search(patient__identifier=SEEDED)

    def with_value(self, value):
        return self.client.resources("Patient").search(identifier=token(value))

    async def refused(self, issue_code, answer):
        with self.assertRaises(OperationOutcome) as caught:
            await done(answer())
        issue = caught.exception.resource["issue"][0]
        self.assertEqual(issue["code"], issue_code)
        return issue

    async def test_the_capability_statement_is_there(self):
        statement = await done(self.client.execute("metadata", method="get"))
        self.assertEqual(statement.fhirVersion, "4.0.1")
        self.assertIn("transaction", [one.code for one in statement.rest[0].interaction])

    async def test_a_resource_is_created_read_updated_and_deleted(self):
        patient = self.patient(self.name())
        await done(patient.save())
        self.assertEqual(patient.meta.versionId, "1")
        patient["birthDate"] = "1961-04"
        await done(patient.update())
        read = await done(self.client.get("Patient", patient.id))
        self.assertEqual((read["birthDate"], read["meta"]["versionId"]), ("1961-04", "2"))
        doomed = self.patient("doomed")
        await done(doomed.create())
        await done(doomed.delete())
        with self.assertRaises(ResourceNotFound):
            await done(self.client.get("Patient", doomed.id))
        with self.assertRaises(ResourceNotFound):
            await done(self.client.reference("Patient", "nobody").to_resource())

    async def test_a_resource_that_did_not_change_is_not_sent_again(self):
        patient = self.patient("refresh")
        await done(patient.save())
        mine = self.client.resource("Patient", **patient.serialize())
        mine["local"] = "kept"
        await done(mine.refresh())
        self.assertEqual(mine["local"], "kept")
        patient["birthDate"] = "1961"
        await done(patient.save())
        await done(mine.refresh())
        self.assertEqual((mine["birthDate"], mine["meta"]["versionId"]), ("1961", "2"))
        self.assertNotIn("local", mine)

    async def test_every_version_is_kept(self):
        patient = self.patient("history")
        await done(patient.save())
        patient["birthDate"] = "1961"
        await done(patient.save())
        history = await done(patient.execute("_history", method="get"))
        self.assertEqual([one.resource.meta.versionId for one in history.entry], ["2", "1"])
        first = await done(patient.execute("_history/1", method="get"))
        self.assertEqual(first.birthDate, "1961-04-02")

    async def test_what_is_refused_is_raised_as_an_operation_outcome(self):
        issue = await self.refused("structure", self.patient("bad", wibble=True).save)
        self.assertIn("wibble", issue["diagnostics"])

    async def test_an_update_of_an_old_version_is_refused(self):
        patient = self.patient("lock")
        await done(patient.save())
        replacing = self.make(BASE, extra_headers={"If-Match": 'W/"1"'})
        change = replacing.resource("Patient", **patient.serialize())
        change["birthDate"] = "1962"
        await done(change.update())
        change["birthDate"] = "1963"
        # fhirpy knows one reason for 412; the text is the hub's.
        with self.assertRaises(MultipleResourcesFound) as caught:
            await done(change.update())
        self.assertIn("If-Match", str(caught.exception))

    async def test_a_chained_search_is_walked_page_by_page(self):
        search = self.observations().limit(10)
        self.assertEqual(len(await done(search.fetch())), 10)
        everything = await done(search.fetch_all())
        self.assertEqual(len(everything), OBSERVATIONS)
        self.assertEqual(len({one.id for one in everything}), OBSERVATIONS)
        typed = self.client.resources("Observation").search(subject__Patient__identifier=SEEDED)
        self.assertEqual(await done(typed.count()), OBSERVATIONS)

    async def test_criteria_dates_and_order(self):
        search = self.observations().search(date__ge="2026-03-05", date__lt="2026-03-10")
        search = search.search(code="http://loinc.org|8310-5", status="final,amended")
        found = await done(search.sort("date").fetch())
        days = [one.effectiveDateTime[:10] for one in found]
        self.assertEqual(days, [f"2026-03-{day:02}" for day in range(5, 10)])
        newest = await done(self.observations().sort("-date").first())
        self.assertEqual(newest.effectiveDateTime[:10], f"2026-03-{OBSERVATIONS:02}")

    async def test_one_resource_is_had_or_it_is_told_why_not(self):
        patients = self.client.resources("Patient")
        patient = await done(patients.search(identifier=SEEDED).get())
        found = await done(self.client.resources("Observation").search(subject=patient).fetch_all())
        self.assertEqual(len(found), OBSERVATIONS)
        with self.assertRaises(ResourceNotFound):
            await done(self.with_value(uuid4().hex).get())
        with self.assertRaises(MultipleResourcesFound):
            await done(self.observations().get())

    async def test_included_resources_come_along(self):
        search = self.observations().include("Observation", "subject").limit(3)
        bundle = await done(search.fetch_raw())
        kinds = [one.resource.resourceType for one in bundle.entry]
        self.assertEqual(kinds, ["Observation"] * 3 + ["Patient"])
        patient = bundle.entry[3].resource
        subject = bundle.entry[0].resource.subject
        self.assertEqual(subject.reference, patient.reference)
        self.assertEqual((await done(subject.to_resource())).identifier, patient.identifier)
        self.assertEqual(len(await done(search.fetch())), 3)

    async def test_an_unknown_criterion_is_left_out_or_refused_as_preferred(self):
        search = self.observations().search(wibble="1")
        self.assertEqual(len(await done(search.fetch_all())), OBSERVATIONS)
        strict = self.make(BASE, extra_headers={"Prefer": "handling=strict"})
        search = strict.resources("Observation").search(wibble="1")
        issue = await self.refused("not-supported", search.fetch)
        self.assertEqual(issue["expression"], ["wibble"])

    async def test_a_person_is_found_by_name(self):
        family = "Quillfeather-" + uuid4().hex[:8]
        await done(self.patient("name", name=[{"family": family, "given": ["Zoë"]}]).save())
        people = self.client.resources("Patient")
        for criteria in [{"family": family.lower()}, {"name": family[:15]},
                         {"family__exact": family}, {"name__contains": family[4:]},
                         {"given": "zoe", "family": family}]:
            found = await done(people.search(**criteria).fetch_all())
            self.assertIn(family, [one.name[0].family for one in found], criteria)
        self.assertEqual(await done(people.search(family__exact=family.lower()).count()), 0)

    async def test_a_transaction_is_written_as_one(self):
        urn, person = f"urn:uuid:{uuid4()}", self.patient("tx").serialize()
        observation = {"resourceType": "Observation", "status": "final", "code": coded("8310-5"),
                       "subject": {"reference": urn}}
        bundle = self.client.resource("Bundle", type="transaction", entry=[
            {"fullUrl": urn, "resource": person, "request": {"method": "POST", "url": "Patient"}},
            {"resource": observation, "request": {"method": "POST", "url": "Observation"}},
        ])
        await done(bundle.save())
        self.assertEqual(bundle.type, "transaction-response")
        places = [one.response.location.split("/_history")[0] for one in bundle.entry]
        stored = await done(self.client.get(places[1]))
        self.assertEqual(stored["subject"]["reference"], places[0])

    async def test_each_entry_of_a_batch_succeeds_or_fails_alone(self):
        bundle = self.client.resource("Bundle", type="batch", entry=[
            {"request": {"method": "GET", "url": "Patient/nobody"}},
            {"request": {"method": "GET", "url": f"Patient?identifier={SEEDED}"}},
            {"resource": self.patient("batch").serialize(),
             "request": {"method": "POST", "url": "Patient"}},
        ])
        await done(bundle.save())
        self.assertEqual(bundle.type, "batch-response")
        self.assertEqual([one.response.status[:3] for one in bundle.entry], ["404", "200", "201"])

    async def test_a_json_patch_changes_what_it_names(self):
        patient = self.patient("patch")
        await done(patient.save())
        kind = {"Content-Type": "application/json-patch+json"}
        patching = self.make(BASE, extra_headers=kind)
        change = [{"op": "replace", "path": "/birthDate", "value": "1970-01-01"}]
        changed = await done(patching.execute(patient.reference, method="patch", data=change))
        self.assertEqual((changed.birthDate, changed.meta.versionId), ("1970-01-01", "2"))
        self.assertEqual(changed.name, patient.name)

    async def test_a_partial_resource_is_merged(self):
        """fhirpy's own patch: members to replace, null to remove, as application/json."""
        patient = self.patient("merge", gender="female")
        await done(patient.save())
        await done(patient.patch(birthDate="1970-01-01", gender=None))
        self.assertEqual((patient.birthDate, patient.meta.versionId), ("1970-01-01", "2"))
        self.assertNotIn("gender", patient)
        changed = await done(self.client.patch(patient.reference, active=True))
        self.assertEqual((changed["active"], changed["birthDate"]), (True, "1970-01-01"))

    async def test_get_or_create_creates_once(self):
        value = uuid4().hex
        first, created = await done(self.with_value(value).get_or_create(self.patient(value)))
        self.assertTrue(created)
        again, created = await done(self.with_value(value).get_or_create(self.patient(value)))
        self.assertFalse(created)
        self.assertEqual(again.id, first.id)
        third = self.patient(value)
        await done(third.create(identifier=token(value)))
        self.assertEqual(third.id, first.id)
        self.assertEqual(await done(self.with_value(value).count()), 1)

    async def test_an_update_goes_to_what_the_criteria_find(self):
        value = uuid4().hex
        first, created = await done(self.with_value(value).update(self.patient(value)))
        self.assertTrue(created)
        changed = self.patient(value, birthDate="1970-01-01")
        second, created = await done(self.with_value(value).update(changed))
        self.assertFalse(created)
        self.assertEqual((second.id, second.meta.versionId), (first.id, "2"))
        await done(self.patient(value).save())
        with self.assertRaises(MultipleResourcesFound):
            await done(self.with_value(value).update(changed))

    async def test_a_deletion_goes_to_what_the_criteria_find(self):
        value = uuid4().hex
        await done(self.patient(value).save())
        _, status = await done(self.with_value(value).delete())
        self.assertIn(status, [200, 204])
        self.assertEqual(await done(self.with_value(value).count()), 0)

    async def test_everything_of_a_patient_is_one_walk(self):
        patient = await done(self.client.resources("Patient").search(identifier=SEEDED).get())
        page = await done(patient.execute("$everything", method="get"))
        kinds = [one.resource.resourceType for one in page.entry]
        while following := page.get_by_path(["link", {"relation": "next"}, "url"]):
            page = await done(self.client.execute(following, method="get"))
            kinds += [one.resource.resourceType for one in page.entry]
        self.assertEqual((kinds.count("Patient"), kinds.count("Observation")), (1, OBSERVATIONS))

    async def test_a_resource_is_validated_without_being_stored(self):
        value = uuid4().hex
        self.assertTrue(await done(self.patient(value).is_valid()))
        self.assertEqual(await done(self.with_value(value).count()), 0)
        bad = self.patient(value, birthDate="tomorrow")
        self.assertFalse(await done(bad.is_valid()))
        with self.assertRaises(OperationOutcome):
            await done(bad.is_valid(raise_exception=True))

    def name(self):
        """What the Patient is known by that this run leaves behind."""
        return "fhirpy-" + ("async" if self.make is AsyncFHIRClient else "sync")


class WithSyncFhirpy(Stories, unittest.IsolatedAsyncioTestCase):
    make = SyncFHIRClient


class WithAsyncFhirpy(Stories, unittest.IsolatedAsyncioTestCase):
    make = AsyncFHIRClient


if __name__ == "__main__":
    unittest.main()
