"""What fhirclient does against a hub, by its public API alone.

FHIR_BASE is the hub. FHIR_NHS_NUMBER belongs to a Patient there who has FHIR_OBSERVATIONS
Observations, the n-th of the n-th of March 2026; other Patients have more.
"""

import os
import sys
import unittest
from uuid import uuid4

from fhirclient.client import FHIRClient
from fhirclient.models.bundle import Bundle, BundleEntry, BundleEntryRequest
from fhirclient.models.fhirdate import FHIRDate
from fhirclient.models.humanname import HumanName
from fhirclient.models.identifier import Identifier
from fhirclient.models.observation import Observation
from fhirclient.models.operationoutcome import OperationOutcome
from fhirclient.models.patient import Patient
from fhirclient.server import FHIRNotFoundException
from requests import HTTPError

BASE = os.environ["FHIR_BASE"]
SEEDED = "https://fhir.nhs.uk/Id/nhs-number|" + os.environ["FHIR_NHS_NUMBER"]
OBSERVATIONS = int(os.environ["FHIR_OBSERVATIONS"])
SYSTEM = "https://example.org/client"


def someone(value, family="Baxter"):
    """A Patient who is not in the record yet."""
    patient = Patient()
    patient.identifier = [Identifier({"system": SYSTEM, "value": value})]
    patient.name = [HumanName({"family": family, "given": ["Ada"]})]
    patient.birthDate = FHIRDate("1961-04-02")
    return patient


def measured(subject):
    """An Observation about a subject."""
    code = {"coding": [{"system": "http://loinc.org", "code": "8310-5"}]}
    value = {"value": 36.5, "system": "http://unitsofmeasure.org", "code": "Cel"}
    return Observation({
        "status": "final", "code": code, "subject": {"reference": subject},
        "effectiveDateTime": "2026-04-01T08:00:00Z", "valueQuantity": value,
    })


def entry(method, url, resource=None, **request):
    """An entry of a transaction or a batch."""
    one = BundleEntry()
    one.request = BundleEntryRequest({"method": method, "url": url, **request})
    one.resource = resource
    return one


def outcome(error):
    """The OperationOutcome that a refused request was answered with."""
    return OperationOutcome(error.response.json())


def explain(response, *_, **__):
    """Shows why a request was refused: the client's errors do not say."""
    if response.status_code >= 400:
        print(response.request.method, response.url, response.text, file=sys.stderr)


class WithFhirclient(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.client = FHIRClient(settings={"app_id": "stories", "api_base": BASE})
        assert cls.client.prepare()
        cls.server = cls.client.server
        cls.server.session.hooks["response"] = [explain]

    def create(self, patient):
        created = Patient(patient.create(self.server))
        created.origin_server = self.server
        return created

    def send(self, kind, *entries):
        bundle = Bundle({"type": kind})
        bundle.entry = list(entries)
        return Bundle(bundle.create(self.server))

    def pages(self, model, **criteria):
        return list(model.where(criteria).perform_iter(self.server))

    def refused(self, status, action, *arguments):
        with self.assertRaises(HTTPError) as caught:
            action(*arguments)
        self.assertEqual(caught.exception.response.status_code, status)
        return outcome(caught.exception)

    def test_the_client_is_ready_once_it_has_the_capability_statement(self):
        self.assertTrue(self.client.ready)
        statement = self.server.capabilityStatement
        self.assertEqual((statement.fhirVersion, statement.kind), ("4.0.1", "instance"))
        self.assertEqual(statement.implementation.url, BASE)
        patient = next(one for one in statement.rest[0].resource if one.type == "Patient")
        codes = {one.code for one in patient.interaction}
        self.assertLessEqual({"read", "vread", "create", "update", "delete", "patch"}, codes)

    def test_a_resource_is_created_read_updated_and_deleted(self):
        created = self.create(someone("fhirclient"))
        read = Patient.read(created.id, self.server)
        self.assertEqual(read.as_json(), created.as_json())
        read.birthDate = FHIRDate("1961-04")
        updated = Patient(read.update())
        self.assertEqual((updated.id, updated.meta.versionId), (created.id, "2"))
        self.assertEqual(updated.birthDate.as_json(), "1961-04")
        doomed = self.create(someone("doomed"))
        doomed.delete()
        told = self.refused(410, Patient.read, doomed.id, self.server)
        self.assertEqual(told.issue[0].code, "deleted")

    def test_every_version_is_kept(self):
        created = self.create(someone("history"))
        created.birthDate = FHIRDate("1961")
        created.update()
        path = created.relativePath() + "/_history"
        first = Patient.read_from(path + "/1", self.server)
        self.assertEqual(first.birthDate.as_json(), "1961-04-02")
        history = Bundle.read_from(path, self.server)
        self.assertEqual((history.type, history.total), ("history", 2))
        self.assertEqual([one.resource.meta.versionId for one in history.entry], ["2", "1"])

    def test_what_is_refused_is_told_as_an_operation_outcome(self):
        with self.assertRaises(FHIRNotFoundException) as caught:
            Patient.read("nobody", self.server)
        self.assertEqual(outcome(caught.exception).issue[0].code, "not-found")
        unknown = {"resourceType": "Patient", "wibble": True}
        told = self.refused(422, self.server.post_json, "Patient", unknown)
        self.assertEqual((told.issue[0].severity, told.issue[0].code), ("error", "structure"))
        self.assertIn("wibble", told.issue[0].diagnostics)

    def test_a_chained_search_is_walked_page_by_page(self):
        pages = self.pages(Observation, **{"patient.identifier": SEEDED, "_count": "10"})
        self.assertEqual(len(pages), -(-OBSERVATIONS // 10))
        ids = {one.resource.id for page in pages for one in page.entry}
        self.assertEqual(len(ids), OBSERVATIONS)
        search = Observation.where({"patient.identifier": SEEDED, "_count": "4"})
        resources = list(search.perform_resources_iter(self.server))
        self.assertEqual({one.id for one in resources}, ids)
        self.assertEqual(len(resources), OBSERVATIONS)

    def test_a_search_structure_becomes_criteria(self):
        days = {"$and": ["ge2026-03-05", "lt2026-03-10"]}
        code = {"$or": ["http://loinc.org|8310-5", "http://loinc.org|8867-4"]}
        pages = self.pages(Observation, **{"subject": {"$type": "Patient", "identifier": SEEDED},
                                           "date": days, "code": code})
        dates = sorted(one.resource.effectiveDateTime.as_json()[:10] for one in pages[0].entry)
        self.assertEqual(dates, [f"2026-03-{day:02}" for day in range(5, 10)])

    def test_an_included_resource_resolves_within_its_bundle(self):
        search = Observation.where({"patient.identifier": SEEDED, "_count": "3"})
        bundle = next(search.include("subject").perform_iter(self.server))
        modes = [one.search.mode for one in bundle.entry]
        self.assertEqual(modes, ["match"] * 3 + ["include"])
        patient = bundle.entry[0].resource.subject.resolved(Patient)
        self.assertIs(patient, bundle.entry[3].resource)

    def test_a_reference_outside_a_bundle_is_fetched(self):
        [page, *_] = self.pages(Observation, **{"patient.identifier": SEEDED})
        observation = Observation.read(page.entry[0].resource.id, self.server)
        number = SEEDED.split("|")[1]
        self.assertEqual(observation.subject.resolved(Patient).identifier[0].value, number)

    def test_totals_are_told_when_asked(self):
        [count] = self.pages(Observation, **{"patient.identifier": SEEDED, "_summary": "count"})
        self.assertEqual((count.total, count.entry), (OBSERVATIONS, None))
        first = self.pages(
            Observation, **{"patient.identifier": SEEDED, "_count": "5", "_total": "accurate"})[0]
        self.assertEqual(first.total, OBSERVATIONS)

    def test_a_person_is_found_by_name(self):
        family = "Quillfeather-" + uuid4().hex[:8]
        self.create(someone("name", family))
        for name in ["family", "name"]:
            [page] = self.pages(Patient, **{name: family.upper()[:14]})
            found = [one.resource for one in page.entry]
            self.assertIn(family, [one.name[0].family for one in found], name)
        self.assertEqual(len(self.pages(Patient, family={"$exact": family})[0].entry), 1)
        self.assertIsNone(self.pages(Patient, family={"$exact": family.upper()})[0].entry)

    def test_a_transaction_is_written_as_one(self):
        urn = f"urn:uuid:{uuid4()}"
        patient, observation = entry("POST", "Patient", someone("tx")), measured(urn)
        patient.fullUrl = urn
        answer = self.send("transaction", patient, entry("POST", "Observation", observation))
        self.assertEqual(answer.type, "transaction-response")
        self.assertTrue(all(one.response.status.startswith("201") for one in answer.entry))
        stored = Observation.read_from(answer.entry[1].response.location, self.server)
        location = answer.entry[0].response.location
        self.assertEqual(stored.subject.reference, location.split("/_history")[0])

    def test_a_transaction_with_one_bad_entry_writes_nothing(self):
        value = uuid4().hex
        bad = entry("PUT", "Patient/else", someone("bad"))
        bundle = Bundle({"type": "transaction"})
        bundle.entry = [entry("POST", "Patient", someone(value)), bad]
        told = self.refused(400, bundle.create, self.server)
        self.assertIn("Bundle.entry[1]", told.issue[0].expression[0])
        self.assertIsNone(self.pages(Patient, identifier=f"{SYSTEM}|{value}")[0].entry)

    def test_each_entry_of_a_batch_succeeds_or_fails_alone(self):
        answer = self.send("batch", entry("POST", "Patient", someone("batch")),
                           entry("GET", "Patient/nobody"),
                           entry("GET", f"Patient?identifier={SEEDED}"))
        self.assertEqual(answer.type, "batch-response")
        statuses = [one.response.status[:3] for one in answer.entry]
        self.assertEqual(statuses, ["201", "404", "200"])
        self.assertEqual(answer.entry[1].response.outcome.issue[0].code, "not-found")
        self.assertEqual(len(answer.entry[2].resource.entry), 1)

    def test_conditional_entries_find_what_is_there(self):
        value = uuid4().hex
        criterion = f"identifier={SYSTEM}|{value}"

        def create():
            one = entry("POST", "Patient", someone(value), ifNoneExist=criterion)
            return self.send("transaction", one).entry[0].response

        first, second = create(), create()
        self.assertEqual((first.status[:3], second.status[:3]), ("201", "200"))
        self.assertEqual(first.location, second.location)
        changed = entry("PUT", f"Patient?{criterion}", someone(value, "Changed"))
        self.assertEqual(self.send("transaction", changed).entry[0].response.status[:3], "200")
        [found] = self.pages(Patient, identifier=f"{SYSTEM}|{value}")[0].entry
        self.assertEqual(found.resource.name[0].family, "Changed")

    def test_everything_of_a_patient_is_one_walk(self):
        [found] = self.pages(Patient, identifier=SEEDED)[0].entry
        kinds, url = [], f"Patient/{found.resource.id}/$everything"
        while url:
            page = Bundle.read_from(url, self.server)
            kinds += [one.resource.resource_type for one in page.entry]
            url = next((one.url for one in page.link or [] if one.relation == "next"), None)
        self.assertEqual(sorted(set(kinds)), ["Observation", "Patient"])
        self.assertEqual((kinds.count("Observation"), kinds.count("Patient")), (OBSERVATIONS, 1))

    def test_a_resource_is_validated_without_being_stored(self):
        good = someone(uuid4().hex)
        answer = self.server.post_json("Patient/$validate", good.as_json())
        severities = {one.severity for one in OperationOutcome(answer.json()).issue}
        self.assertFalse(severities & {"error", "fatal"})
        identifier = f"{SYSTEM}|{good.identifier[0].value}"
        self.assertIsNone(self.pages(Patient, identifier=identifier)[0].entry)
        bad = {"resourceType": "Patient", "birthDate": "tomorrow"}
        told = OperationOutcome(self.server.post_json("Patient/$validate", bad).json())
        self.assertIn(["Patient.birthDate"], [one.expression for one in told.issue])


if __name__ == "__main__":
    unittest.main()
