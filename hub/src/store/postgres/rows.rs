//! Index rows of a whole batch, by table and column, so that each table takes one statement.

use sqlx::postgres::PgConnection;

use crate::store::effects::Row;

#[derive(Default)]
struct Compartment {
    patient: Vec<i64>,
    resource_type: Vec<i64>,
    clinical_ms: Vec<i64>,
    key: Vec<i64>,
}

#[derive(Default)]
struct Token {
    patient: Vec<i64>,
    parameter: Vec<i64>,
    code: Vec<String>,
    clinical_ms: Vec<i64>,
    key: Vec<i64>,
    system: Vec<i64>,
}

#[derive(Default)]
struct Date {
    key: Vec<i64>,
    parameter: Vec<i64>,
    low: Vec<i64>,
    high: Vec<i64>,
}

#[derive(Default)]
struct Number {
    key: Vec<i64>,
    parameter: Vec<i64>,
    unit: Vec<i64>,
    low: Vec<f64>,
    high: Vec<f64>,
}

#[derive(Default)]
struct Reference {
    parameter: Vec<i64>,
    target: Vec<i64>,
    key: Vec<i64>,
}

/// Rows to be added or taken away.
#[derive(Default)]
pub(super) struct Rows {
    compartment: Compartment,
    token: Token,
    patient_token: Token,
    date: Date,
    number: Number,
    reference: Reference,
}

impl Rows {
    pub(super) fn add(&mut self, key: i64, resource_type: i64, row: &Row) {
        match row {
            Row::Compartment { patient, clinical_ms } => {
                self.compartment.patient.push(*patient);
                self.compartment.resource_type.push(resource_type);
                self.compartment.clinical_ms.push(*clinical_ms);
                self.compartment.key.push(key);
            }
            Row::Token { parameter, code, clinical_ms, system } => {
                self.token.add(0, *parameter, code, *clinical_ms, key, *system);
            }
            Row::PatientToken { patient, parameter, code, clinical_ms, system } => {
                self.patient_token.add(*patient, *parameter, code, *clinical_ms, key, *system);
            }
            Row::Date { parameter, low, high } => {
                self.date.key.push(key);
                self.date.parameter.push(*parameter);
                self.date.low.push(*low);
                self.date.high.push(*high);
            }
            Row::Number { parameter, unit, low, high } => {
                self.number.key.push(key);
                self.number.parameter.push(*parameter);
                self.number.unit.push(*unit);
                self.number.low.push(low.0);
                self.number.high.push(high.0);
            }
            Row::Reference { parameter, target } => {
                self.reference.parameter.push(*parameter);
                self.reference.target.push(*target);
                self.reference.key.push(key);
            }
        }
    }

    pub(super) async fn insert(self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        self.run(
            connection,
            [
                "INSERT INTO compartment (patient, type, clinical_ms, key) SELECT * FROM \
                 unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[])",
                "INSERT INTO token (param, code, clinical_ms, key, system) SELECT * FROM \
                 unnest($1::bigint[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[])",
                "INSERT INTO patient_token (param, code, clinical_ms, key, system, patient) \
                 SELECT * FROM unnest($1::bigint[], $2::text[], $3::bigint[], $4::bigint[], \
                 $5::bigint[], $6::bigint[])",
                "INSERT INTO date (key, param, low, high) SELECT * FROM \
                 unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[])",
                "INSERT INTO number (key, param, unit, low, high) SELECT * FROM \
                 unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::float8[], $5::float8[])",
                "INSERT INTO reference (param, target, key) SELECT * FROM \
                 unnest($1::bigint[], $2::bigint[], $3::bigint[])",
            ],
        )
        .await
    }

    pub(super) async fn delete(self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        self.run(
            connection,
            [
                "DELETE FROM compartment t USING \
                 unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[]) \
                 AS g (a, b, c, d) WHERE t.patient = g.a AND t.type = g.b \
                 AND t.clinical_ms = g.c AND t.key = g.d",
                "DELETE FROM token t USING \
                 unnest($1::bigint[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[]) \
                 AS g (a, b, c, d, e) WHERE t.param = g.a AND t.code = g.b \
                 AND t.clinical_ms = g.c AND t.key = g.d AND t.system = g.e",
                "DELETE FROM patient_token t USING unnest($1::bigint[], $2::text[], \
                 $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[]) \
                 AS g (a, b, c, d, e, f) WHERE t.patient = g.f AND t.param = g.a \
                 AND t.code = g.b AND t.clinical_ms = g.c AND t.key = g.d AND t.system = g.e",
                "DELETE FROM date t USING \
                 unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[]) \
                 AS g (a, b, c, d) WHERE t.key = g.a AND t.param = g.b AND t.low = g.c \
                 AND t.high = g.d",
                "DELETE FROM number t USING unnest($1::bigint[], $2::bigint[], $3::bigint[], \
                 $4::float8[], $5::float8[]) AS g (a, b, c, d, e) WHERE t.key = g.a \
                 AND t.param = g.b AND t.unit = g.c AND t.low = g.d AND t.high = g.e",
                "DELETE FROM reference t USING \
                 unnest($1::bigint[], $2::bigint[], $3::bigint[]) \
                 AS g (a, b, c) WHERE t.param = g.a AND t.target = g.b AND t.key = g.c",
            ],
        )
        .await
    }

    /// Runs one statement for each table that has rows; columns are bound in the order of `add`.
    async fn run(
        self,
        connection: &mut PgConnection,
        [compartment, token, patient_token, date, number, reference]: [&'static str; 6],
    ) -> Result<(), sqlx::Error> {
        let rows = self.compartment;
        if !rows.key.is_empty() {
            let statement = sqlx::query(compartment).bind(rows.patient).bind(rows.resource_type);
            statement.bind(rows.clinical_ms).bind(rows.key).execute(&mut *connection).await?;
        }
        let rows = self.token;
        if !rows.key.is_empty() {
            let statement =
                sqlx::query(token).bind(rows.parameter).bind(rows.code).bind(rows.clinical_ms);
            statement.bind(rows.key).bind(rows.system).execute(&mut *connection).await?;
        }
        let rows = self.patient_token;
        if !rows.key.is_empty() {
            let statement = sqlx::query(patient_token).bind(rows.parameter).bind(rows.code);
            let statement = statement.bind(rows.clinical_ms).bind(rows.key).bind(rows.system);
            statement.bind(rows.patient).execute(&mut *connection).await?;
        }
        let rows = self.date;
        if !rows.key.is_empty() {
            let statement = sqlx::query(date).bind(rows.key).bind(rows.parameter).bind(rows.low);
            statement.bind(rows.high).execute(&mut *connection).await?;
        }
        let rows = self.number;
        if !rows.key.is_empty() {
            let statement = sqlx::query(number).bind(rows.key).bind(rows.parameter);
            let statement = statement.bind(rows.unit).bind(rows.low).bind(rows.high);
            statement.execute(&mut *connection).await?;
        }
        let rows = self.reference;
        if !rows.key.is_empty() {
            let statement =
                sqlx::query(reference).bind(rows.parameter).bind(rows.target).bind(rows.key);
            statement.execute(&mut *connection).await?;
        }
        Ok(())
    }
}

impl Token {
    fn add(
        &mut self,
        patient: i64,
        parameter: i64,
        code: &str,
        clinical_ms: i64,
        key: i64,
        system: i64,
    ) {
        self.patient.push(patient);
        self.parameter.push(parameter);
        self.code.push(code.to_owned());
        self.clinical_ms.push(clinical_ms);
        self.key.push(key);
        self.system.push(system);
    }
}
