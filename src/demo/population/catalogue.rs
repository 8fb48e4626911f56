//! The codes that occur in invented records: few, and each one certain.
//!
//! Sources: the published UK Core examples, SNOMED CT International and UK Edition, dm+d, LOINC
//! and UCUM. A medicine whose dm+d product is not among those examples is coded by its SNOMED CT
//! substance, with the product in the text, as UK Core's paracetamol example does.

pub(super) const SNOMED: &str = "http://snomed.info/sct";
pub(super) const DMD: &str = "https://dmd.nhs.uk";
pub(super) const LOINC: &str = "http://loinc.org";

/// A code of a system, with the words a person reads.
#[derive(Debug, Clone, Copy)]
pub(super) struct Code(pub(super) &'static str, pub(super) &'static str, pub(super) &'static str);

/// What one dose is counted in.
#[derive(Debug, Clone, Copy)]
pub(super) enum Form {
    Tablet,
    Capsule,
    Puff,
}

/// A medicine and how it is usually taken.
#[derive(Debug, Clone, Copy)]
pub(super) struct Medicine {
    pub(super) code: Code,
    pub(super) product: &'static str,
    pub(super) form: Form,
    pub(super) each: u32,
    pub(super) times_a_day: u32,
    pub(super) supply: u32,
}

/// A long-term condition, the age from which it is given, and its first-line medicine.
#[derive(Debug, Clone, Copy)]
pub(super) struct Illness {
    pub(super) code: Code,
    pub(super) from_age: i16,
    pub(super) medicine: Option<Medicine>,
}

const fn medicine(code: Code, product: &'static str, form: Form, times_a_day: u32) -> Medicine {
    Medicine { code, product, form, each: 1, times_a_day, supply: 28 * times_a_day }
}

const fn illness(
    code: &'static str,
    display: &'static str,
    from_age: i16,
    medicine: Option<Medicine>,
) -> Illness {
    Illness { code: Code(SNOMED, code, display), from_age, medicine }
}

pub(super) const METFORMIN: Medicine =
    medicine(Code(SNOMED, "372567009", "Metformin"), "Metformin 500mg tablets", Form::Tablet, 2);
const RAMIPRIL: Medicine =
    medicine(Code(SNOMED, "386872004", "Ramipril"), "Ramipril 5mg capsules", Form::Capsule, 1);
const AMLODIPINE: Medicine =
    medicine(Code(SNOMED, "386864001", "Amlodipine"), "Amlodipine 5mg tablets", Form::Tablet, 1);
const ATORVASTATIN: Medicine = medicine(
    Code(SNOMED, "373444002", "Atorvastatin"),
    "Atorvastatin 20mg tablets",
    Form::Tablet,
    1,
);
const LEVOTHYROXINE: Medicine = medicine(
    Code(SNOMED, "710809001", "Levothyroxine"),
    "Levothyroxine sodium 50microgram tablets",
    Form::Tablet,
    1,
);
const SERTRALINE: Medicine =
    medicine(Code(SNOMED, "372594008", "Sertraline"), "Sertraline 50mg tablets", Form::Tablet, 1);
const OMEPRAZOLE: Medicine = medicine(
    Code(SNOMED, "387137007", "Omeprazole"),
    "Omeprazole 20mg gastro-resistant capsules",
    Form::Capsule,
    1,
);
const APIXABAN: Medicine =
    medicine(Code(SNOMED, "698090000", "Apixaban"), "Apixaban 5mg tablets", Form::Tablet, 2);
const ASPIRIN: Medicine = medicine(
    Code(DMD, "319775004", "Aspirin 75mg tablets"),
    "Aspirin 75mg tablets",
    Form::Tablet,
    1,
);
const PARACETAMOL: Medicine = Medicine {
    each: 2,
    supply: 100,
    ..medicine(
        Code(DMD, "322236009", "Paracetamol 500mg tablets"),
        "Paracetamol 500mg tablets",
        Form::Tablet,
        4,
    )
};
const SALBUTAMOL: Medicine = Medicine {
    each: 2,
    supply: 200,
    ..medicine(
        Code(DMD, "39113611000001102", "Salbutamol 100micrograms/dose inhaler CFC free"),
        "Salbutamol 100micrograms/dose inhaler CFC free",
        Form::Puff,
        4,
    )
};

/// Short courses for acute conditions.
pub(super) const SHORT_COURSES: [Medicine; 2] = [
    Medicine {
        supply: 21,
        ..medicine(
            Code(DMD, "39732311000001104", "Amoxicillin 250mg capsules"),
            "Amoxicillin 250mg capsules",
            Form::Capsule,
            3,
        )
    },
    Medicine {
        supply: 14,
        ..medicine(
            Code(DMD, "41946511000001109", "Clarithromycin 500mg tablets"),
            "Clarithromycin 500mg tablets",
            Form::Tablet,
            2,
        )
    },
];

pub(super) const DIABETES: Illness =
    illness("44054006", "Type 2 diabetes mellitus", 35, Some(METFORMIN));
pub(super) const HYPERTENSION: Illness =
    illness("38341003", "Hypertensive disorder", 30, Some(RAMIPRIL));
pub(super) const ASTHMA: Illness = illness("195967001", "Asthma", 4, Some(SALBUTAMOL));

/// Long-term conditions, the commonest first.
pub(super) const LONG_TERM: [Illness; 15] = [
    HYPERTENSION,
    DIABETES,
    ASTHMA,
    illness("55822004", "Hyperlipidaemia", 40, Some(ATORVASTATIN)),
    illness("40930008", "Hypothyroidism", 25, Some(LEVOTHYROXINE)),
    illness("35489007", "Depressive disorder", 18, Some(SERTRALINE)),
    illness("197480006", "Anxiety disorder", 18, Some(SERTRALINE)),
    illness("235595009", "Gastro-oesophageal reflux disease", 20, Some(OMEPRAZOLE)),
    illness("396275006", "Osteoarthritis", 50, Some(PARACETAMOL)),
    illness("414545008", "Ischaemic heart disease", 50, Some(ASPIRIN)),
    illness("49436004", "Atrial fibrillation", 55, Some(APIXABAN)),
    illness("13645005", "Chronic obstructive pulmonary disease", 45, Some(SALBUTAMOL)),
    illness("709044004", "Chronic kidney disease", 50, Some(AMLODIPINE)),
    illness("37796009", "Migraine", 12, Some(PARACETAMOL)),
    illness("24079001", "Atopic dermatitis", 1, None),
];

/// Conditions that come and go.
pub(super) const ACUTE: [Code; 5] = [
    Code(SNOMED, "54150009", "Upper respiratory infection"),
    Code(SNOMED, "68566005", "Urinary tract infectious disease"),
    Code(SNOMED, "128045006", "Cellulitis"),
    Code(SNOMED, "65363002", "Otitis media"),
    Code(SNOMED, "10509002", "Acute bronchitis"),
];

/// "No known allergy".
pub(super) const NO_KNOWN_ALLERGY: Code = Code(SNOMED, "716186003", "No known allergy");
pub(super) const PENICILLIN: (Code, &str) = (Code(SNOMED, "764146007", "Penicillin"), "medication");

/// Allergies (substance, category).
pub(super) const ALLERGIES: [(Code, &str); 6] = [
    PENICILLIN,
    (Code(SNOMED, "372687004", "Amoxicillin"), "medication"),
    (Code(SNOMED, "387207008", "Ibuprofen"), "medication"),
    (Code(SNOMED, "256349002", "Peanut"), "food"),
    (Code(SNOMED, "227493005", "Cashew nuts"), "food"),
    (Code(SNOMED, "111088007", "Latex"), "environment"),
];

/// Reactions (manifestation, severity).
pub(super) const REACTIONS: [(Code, &str); 3] = [
    (Code(SNOMED, "247472004", "Urticarial rash"), "mild"),
    (Code(SNOMED, "271807003", "Eruption of skin"), "moderate"),
    (Code(SNOMED, "39579001", "Anaphylactic reaction"), "severe"),
];

/// What smoking status says, never, former and current.
pub(super) const SMOKING: [Code; 3] = [
    Code(SNOMED, "266919005", "Never smoked tobacco"),
    Code(SNOMED, "8517006", "Ex-smoker"),
    Code(SNOMED, "77176002", "Smoker"),
];

/// A vaccine and the procedure of giving it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Vaccination {
    pub(super) procedure: Code,
    pub(super) product: Code,
}

pub(super) const INFLUENZA: Vaccination = Vaccination {
    procedure: Code(SNOMED, "822851000000102", "Seasonal influenza vaccination"),
    product: Code(
        DMD,
        "11278411000001109",
        "Influenza vaccine (split virion, inactivated) suspension for injection 0.5ml pre-filled \
         syringes (Pfizer Ltd)",
    ),
};

const VAXZEVRIA: Code = Code(
    DMD,
    "39114911000001105",
    "COVID-19 Vaccine Vaxzevria (ChAdOx1 S [recombinant]) not less than 2.5x100,000,000 \
     infectious units/0.5ml dose suspension for injection multidose vials (AstraZeneca UK Ltd)",
);

/// First and second dose.
pub(super) const COVID: [Vaccination; 2] = [
    Vaccination {
        procedure: Code(
            SNOMED,
            "1324681000000101",
            "Administration of first dose of severe acute respiratory syndrome coronavirus 2 \
             vaccine",
        ),
        product: VAXZEVRIA,
    },
    Vaccination {
        procedure: Code(
            SNOMED,
            "1324691000000104",
            "Administration of second dose of severe acute respiratory syndrome coronavirus 2 \
             vaccine",
        ),
        product: VAXZEVRIA,
    },
];

/// A laboratory test: code, lowest and highest invented value (scaled), places, unit, UCUM code.
#[derive(Debug, Clone, Copy)]
pub(super) struct Test {
    pub(super) code: Code,
    pub(super) range: (u32, u32),
    pub(super) places: u32,
    pub(super) unit: &'static str,
    pub(super) ucum: &'static str,
}

pub(super) const HBA1C: Test = Test {
    code: Code(
        SNOMED,
        "999791000000106",
        "Haemoglobin A1c level - International Federation of Clinical Chemistry and Laboratory \
         Medicine standardised",
    ),
    range: (44, 78),
    places: 0,
    unit: "mmol/mol",
    ucum: "mmol/mol",
};

/// Tests that anyone may have had.
pub(super) const TESTS: [Test; 3] = [
    Test {
        code: Code(SNOMED, "1005671000000105", "Serum cholesterol level"),
        range: (340, 680),
        places: 2,
        unit: "mmol/L",
        ucum: "mmol/L",
    },
    Test {
        code: Code(SNOMED, "1000731000000107", "Serum creatinine level"),
        range: (55, 118),
        places: 0,
        unit: "umol/L",
        ucum: "umol/L",
    },
    Test {
        code: Code(SNOMED, "1000651000000109", "Serum potassium level"),
        range: (36, 51),
        places: 1,
        unit: "mmol/L",
        ucum: "mmol/L",
    },
];
