//! Generated searches; the server ends one that takes too long.

use bytes::Bytes;
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{AssertSqlSafe, Column, Connection, Row, TypeInfo, ValueRef};

use super::{Postgres, statement, version};
use crate::store::StoreError;
use crate::store::query::{Argument, Found, Query, Step, Stepped, Value};
use crate::store::target::UNIT;
use crate::store::write::Version;

impl Postgres {
    pub(in crate::store) async fn page(
        &self,
        query: &Query,
    ) -> Result<(String, Vec<Found>), StoreError> {
        let rows = statement(query).fetch_all(&self.pool()).await?;
        let mark = rows.first().map(|row| row.get(3)).unwrap_or_default();
        Ok((mark, rows.iter().map(read).collect()))
    }

    /// The plan that holds whatever the arguments are: the one for these would show them.
    pub(in crate::store) async fn explain(&self, query: &Query) -> Result<Vec<String>, StoreError> {
        let types = query.arguments().iter().map(|argument| match argument {
            Argument::Number(_) => "bigint",
            Argument::Real(_) => "float8",
            Argument::Text(_) => "text",
        });
        let types: Vec<&str> = types.collect();
        let listed = |list: String| if list.is_empty() { list } else { format!("({list})") };
        let (types, nothing) = (types.join(","), vec!["NULL"; types.len()].join(","));
        let prepare = format!("PREPARE explained {} AS {}", listed(types), query.postgres_sql());
        let explain = format!("EXPLAIN EXECUTE explained {}", listed(nothing));
        let mut connection = self.pool().acquire().await?;
        // What is set and prepared here goes with the connection.
        connection.close_on_drop();
        sqlx::raw_sql("SET plan_cache_mode = force_generic_plan").execute(&mut *connection).await?;
        sqlx::raw_sql(AssertSqlSafe(prepare)).execute(&mut *connection).await?;
        let rows = sqlx::raw_sql(AssertSqlSafe(explain)).fetch_all(&mut *connection).await?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }

    pub(in crate::store) async fn numbers(&self, query: &Query) -> Result<Vec<i64>, StoreError> {
        let rows = statement(query).fetch_all(&self.pool()).await?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }

    pub(in crate::store) async fn step(&self, one: Step) -> Result<Stepped, StoreError> {
        let mut connection = self.pool().acquire().await?;
        let mut transaction = connection.begin().await?;
        // One snapshot for all that is read.
        sqlx::query("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            .execute(&mut *transaction)
            .await?;
        let mark = sqlx::query_scalar("SELECT CAST(pg_current_snapshot() AS TEXT)")
            .fetch_one(&mut *transaction)
            .await?;
        let changed = found(&mut transaction, &one.changed).await?;
        let mut before = Vec::new();
        if !changed.is_empty() {
            let keys: Vec<i64> = changed.iter().map(|found| found.key).collect();
            let query = (one.before)(&keys);
            let rows = statement(&query).fetch_all(&mut *transaction).await?;
            before = rows.iter().map(|row| (row.get(4), version(row))).collect();
        }
        let page = found(&mut transaction, &one.page).await?;
        transaction.commit().await?;
        Ok(Stepped { mark, changed, before, page })
    }

    pub(in crate::store) async fn units(&self) -> Result<Vec<(i64, String)>, StoreError> {
        let rows = sqlx::query("SELECT key, id FROM directory WHERE type = $1")
            .bind(UNIT)
            .fetch_all(&self.pool())
            .await?;
        Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
    }

    pub(in crate::store) async fn versions(
        &self,
        query: &Query,
    ) -> Result<Vec<(i64, Version)>, StoreError> {
        let rows = statement(query).fetch_all(&self.pool()).await?;
        Ok(rows.iter().map(|row| (row.get(4), version(row))).collect())
    }

    pub(in crate::store) async fn resources(
        &self,
        query: &Query,
    ) -> Result<Vec<Found>, StoreError> {
        let rows = statement(query).fetch_all(&self.pool()).await?;
        let found = rows.iter().map(|row| Found {
            key: row.get(0),
            resource_type: row.get(1),
            id: row.get(2),
            body: Bytes::from(row.get::<Vec<u8>, _>(3)),
            order: Vec::new(),
        });
        Ok(found.collect())
    }
}

async fn found(connection: &mut PgConnection, query: &Query) -> Result<Vec<Found>, sqlx::Error> {
    Ok(statement(query).fetch_all(connection).await?.iter().map(read).collect())
}

fn read(row: &PgRow) -> Found {
    Found {
        key: row.get(0),
        resource_type: row.get(1),
        id: row.get(2),
        body: Bytes::from(row.get::<Vec<u8>, _>(4)),
        order: (5..row.len()).map(|at| value(row, at)).collect(),
    }
}

fn value(row: &PgRow, at: usize) -> Value {
    if row.try_get_raw(at).is_ok_and(|raw| raw.is_null()) {
        return Value::Missing;
    }
    match row.column(at).type_info().name() {
        "INT8" => Value::Number(row.get(at)),
        "FLOAT8" => Value::Real(row.get(at)),
        _ => Value::Text(row.get(at)),
    }
}
