//! Generated searches. Short ones run where they are called; one that may take long runs on a thread
//! of its own; all end at [`super::READ_MS_MAX`].

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, Row, ToSql, params_from_iter};

use super::Sqlite;
use crate::store::StoreError;
use crate::store::query::{Argument, Found, Query, Step, Stepped, Value};
use crate::store::target::UNIT;
use crate::store::write::Version;

impl Sqlite {
    pub(in crate::store) async fn page(
        self: &Arc<Self>,
        query: &Query,
    ) -> Result<(String, Vec<Found>), StoreError> {
        if !query.is_long() {
            return self.with_reader(|c| page(c, query));
        }
        let query = query.clone();
        self.aside(move |this| this.with_reader(|c| page(c, &query))).await
    }

    pub(in crate::store) async fn explain(&self, query: &Query) -> Result<Vec<String>, StoreError> {
        self.with_reader(|c| {
            let mut statement = c.prepare(&format!("EXPLAIN QUERY PLAN {}", query.sql()))?;
            let mut rows = statement.query(params_from_iter(query.arguments()))?;
            let (mut depths, mut lines) = (HashMap::from([(0, 0)]), Vec::new());
            while let Some(row) = rows.next()? {
                let (id, parent): (i64, i64) = (row.get(0)?, row.get(1)?);
                let depth = depths.get(&parent).copied().unwrap_or_default();
                depths.insert(id, depth + 1);
                lines.push(format!("{:width$}{}", "", row.get::<_, String>(3)?, width = 2 * depth));
            }
            Ok(lines)
        })
    }

    pub(in crate::store) async fn numbers(
        self: &Arc<Self>,
        query: &Query,
    ) -> Result<Vec<i64>, StoreError> {
        if !query.is_long() {
            return self.with_reader(|c| Ok(super::keys(c, query)?));
        }
        let query = query.clone();
        self.aside(move |this| this.with_reader(|c| Ok(super::keys(c, &query)?))).await
    }

    pub(in crate::store) async fn step(self: &Arc<Self>, one: Step) -> Result<Stepped, StoreError> {
        self.aside(move |this| this.with_reader(|c| step(c, &one))).await
    }

    pub(in crate::store) async fn units(&self) -> Result<Vec<(i64, String)>, StoreError> {
        self.with_reader(|c| {
            let sql = "SELECT key, id FROM directory WHERE type = ?1";
            let mut statement = c.prepare_cached(sql)?;
            let rows = statement.query_map([UNIT], |row| Ok((row.get(0)?, row.get(1)?)))?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    pub(in crate::store) async fn versions(
        &self,
        query: &Query,
    ) -> Result<Vec<(i64, Version)>, StoreError> {
        self.with_reader(|c| {
            let mut statement = c.prepare_cached(query.sql())?;
            let rows = statement.query_map(params_from_iter(query.arguments()), |row| {
                Ok((row.get(4)?, super::version(row)?))
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    pub(in crate::store) async fn resources(
        &self,
        query: &Query,
    ) -> Result<Vec<Found>, StoreError> {
        self.with_reader(|c| {
            let mut statement = c.prepare_cached(query.sql())?;
            let found = statement.query_map(params_from_iter(query.arguments()), |row| {
                Ok(Found {
                    key: row.get(0)?,
                    resource_type: row.get(1)?,
                    id: row.get(2)?,
                    body: Bytes::copy_from_slice(row.get_ref(3)?.as_blob()?),
                    order: Vec::new(),
                })
            })?;
            Ok(found.collect::<Result<_, _>>()?)
        })
    }

    /// Runs a read that may take long where no one waits for its thread.
    pub(super) async fn aside<T: Send + 'static>(
        self: &Arc<Self>,
        read: impl FnOnce(&Self) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let this = self.clone();
        let permit = self.long_reads.clone().acquire_owned().await;
        let permit = permit.map_err(|error| StoreError::Failed(error.to_string()))?;
        // The permit goes along: a read goes on although its caller has gone away.
        let run = move || {
            let _permit = permit;
            read(&this)
        };
        let done = tokio::task::spawn_blocking(run).await;
        done.map_err(|error| StoreError::Failed(error.to_string()))?
    }
}

fn page(connection: &Connection, query: &Query) -> Result<(String, Vec<Found>), StoreError> {
    let mut statement = connection.prepare_cached(query.sql())?;
    let mut mark = String::new();
    let mut found = Vec::new();
    let mut rows = statement.query(params_from_iter(query.arguments()))?;
    while let Some(row) = rows.next()? {
        if found.is_empty() {
            mark = row.get(3)?;
        }
        found.push(read(row)?);
    }
    Ok((mark, found))
}

fn read(row: &Row<'_>) -> rusqlite::Result<Found> {
    let columns = row.as_ref().column_count();
    Ok(Found {
        key: row.get(0)?,
        resource_type: row.get(1)?,
        id: row.get(2)?,
        body: Bytes::copy_from_slice(row.get_ref(4)?.as_blob()?),
        order: (5..columns).map(|at| value(row.get_ref(at)?)).collect::<Result<_, _>>()?,
    })
}

fn value(value: ValueRef<'_>) -> rusqlite::Result<Value> {
    Ok(match value {
        ValueRef::Null | ValueRef::Blob(_) => Value::Missing,
        ValueRef::Integer(number) => Value::Number(number),
        ValueRef::Real(real) => Value::Real(real),
        ValueRef::Text(_) => Value::Text(value.as_str()?.to_owned()),
    })
}

fn step(connection: &Connection, step: &Step) -> Result<Stepped, StoreError> {
    // What is read within one transaction is one state of the record.
    let transaction = connection.unchecked_transaction()?;
    let sql = "SELECT CAST(max(stamp) AS TEXT) FROM resource";
    let mark: Option<String> = transaction.prepare_cached(sql)?.query_row([], |row| row.get(0))?;
    let (_, changed) = page(&transaction, &step.changed)?;
    let mut before = Vec::new();
    if !changed.is_empty() {
        let keys: Vec<i64> = changed.iter().map(|found| found.key).collect();
        let query = (step.before)(&keys);
        let mut statement = transaction.prepare(query.sql())?;
        let rows = statement.query_map(params_from_iter(query.arguments()), |row| {
            Ok((row.get(4)?, super::version(row)?))
        })?;
        before = rows.collect::<Result<_, _>>()?;
    }
    let (_, page) = page(&transaction, &step.page)?;
    Ok(Stepped { mark: mark.unwrap_or_default(), changed, before, page })
}

impl ToSql for Argument {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        match self {
            Self::Number(number) => number.to_sql(),
            Self::Real(real) => real.to_sql(),
            Self::Text(text) => text.to_sql(),
        }
    }
}
