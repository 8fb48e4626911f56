//! What a whole batch changes, by table and column: one statement replaces, one adds.

use fhir::identifier::NHS_NUMBER;
use sqlx::Postgres;
use sqlx::postgres::{PgArguments, PgConnection, PgRow};
use sqlx::query::Query;

use crate::audit::chain::Link;
use crate::store::effects::Row;
use crate::store::unique::UniqueIdentifier;
use crate::store::write::{Held, Version};

type Statement = Query<'static, Postgres, PgArguments>;

/// Rows of a table, by column; they are bound in this order.
macro_rules! columns {
    ($table:ident { $($column:ident: $value:ty),+ $(,)? }) => {
        #[derive(Default)]
        struct $table { $($column: Vec<$value>),+ }

        impl $table {
            fn push(&mut self, ($($column),+): ($($value),+)) {
                $(self.$column.push($column);)+
            }

            fn bind(self, statement: Statement) -> Statement {
                statement$(.bind(self.$column))+
            }
        }
    };
}

columns!(Compartment { patient: i64, resource_type: i64, clinical_ms: i64, key: i64 });
columns!(Token { parameter: i64, code: String, clinical_ms: i64, key: i64, system: i64 });
columns!(PatientToken {
    patient: i64,
    parameter: i64,
    code: String,
    clinical_ms: i64,
    key: i64,
    system: i64,
});
columns!(Date { key: i64, parameter: i64, low: i64, high: i64 });
columns!(Number { key: i64, parameter: i64, unit: i64, low: f64, high: f64 });
columns!(Reference { parameter: i64, target: i64, key: i64 });
columns!(Resource {
    key: i64,
    of_type: i64,
    version: i64,
    updated: i64,
    method: i64,
    clinical_ms: i64,
    body: Option<Vec<u8>>,
    custodian: String,
});
columns!(Unique { resource_type: i64, system: &'static str, value: String, key: i64 });

/// The resource that rows belong to.
#[derive(Clone, Copy)]
pub(super) struct Owner {
    pub(super) key: i64,
    pub(super) resource_type: i64,
    pub(super) clinical_ms: i64,
}

/// Rows to be added, or to be replaced and taken away.
#[derive(Default)]
pub(super) struct Rows {
    compartment: Compartment,
    token: Token,
    patient_token: PatientToken,
    date: Date,
    number: Number,
    reference: Reference,
    resource: Resource,
    unique: Unique,
}

impl Rows {
    pub(super) fn index(&mut self, Owner { key, resource_type, .. }: Owner, row: Row) {
        match row {
            Row::Compartment { patient, clinical_ms } => {
                self.compartment.push((patient, resource_type, clinical_ms, key));
            }
            Row::Token { parameter, code, clinical_ms, system } => {
                self.token.push((parameter, code, clinical_ms, key, system));
            }
            Row::PatientToken { patient, parameter, code, clinical_ms, system } => {
                self.patient_token.push((patient, parameter, code, clinical_ms, key, system));
            }
            Row::Date { parameter, low, high } => self.date.push((key, parameter, low, high)),
            Row::Number { parameter, unit, low, high } => {
                self.number.push((key, parameter, unit, low.0, high.0));
            }
            Row::Reference { parameter, target } => self.reference.push((parameter, target, key)),
        }
    }

    pub(super) fn resource(&mut self, owner: Owner, held: &Held) {
        let Owner { key, resource_type, clinical_ms } = owner;
        let Version { version, updated, method, ref body } = held.version;
        let body = body.as_ref().map(|body| body.to_vec());
        let (method, whose) = (method as i64, held.custodian.as_str().to_owned());
        self.resource.push((
            key,
            resource_type,
            version,
            updated,
            method,
            clinical_ms,
            body,
            whose,
        ));
    }

    pub(super) fn unique(&mut self, owner: Owner, identifier: UniqueIdentifier) {
        let UniqueIdentifier { system, value, .. } = identifier;
        self.unique.push((owner.resource_type, system, value, owner.key));
    }

    /// Replaces current versions, and takes away what they were found by.
    pub(super) async fn replace(
        self,
        connection: &mut PgConnection,
        now: i64,
    ) -> Result<(), sqlx::Error> {
        let statement = self.bind(sqlx::query(include_str!("replace.sql")));
        statement.bind(now).execute(connection).await?;
        Ok(())
    }

    /// Adds what is new, and the audit entry if there is one. Gives the unique identifiers that were claimed: system,
    /// value, key.
    pub(super) async fn add(
        self,
        connection: &mut PgConnection,
        now: i64,
        audit: Option<Link>,
    ) -> Result<Vec<PgRow>, sqlx::Error> {
        let statement = self.bind(sqlx::query(include_str!("add.sql")));
        let (entry, tip) = audit.map(|link| (link.entry, link.tip)).unzip();
        statement
            .bind(now)
            .bind(entry)
            .bind(tip.map(|tip| tip.lane))
            .bind(tip.map(|tip| tip.seq))
            .bind(tip.map(|tip| tip.hash.to_vec()))
            .fetch_all(connection)
            .await
    }

    fn bind(self, statement: Statement) -> Statement {
        let statement = self.compartment.bind(statement);
        let statement = self.token.bind(statement);
        let statement = self.patient_token.bind(statement);
        let statement = self.date.bind(statement);
        let statement = self.number.bind(statement);
        let statement = self.reference.bind(statement);
        let statement = self.resource.bind(statement);
        self.unique.bind(statement).bind(NHS_NUMBER)
    }
}
