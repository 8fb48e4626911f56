//! The outbox of registrations; `add.sql` and `replace.sql` fill it. See
//! [`crate::registration::outbox`].

use sqlx::Row;
use sqlx::postgres::PgPool;

use crate::registration::outbox::{Outcome, Settled, Task};
use crate::store::StoreError;

/// Takes what is due and marks it as tried, so that a crash from here on is remembered; other
/// processes pass over what this one takes.
pub(super) async fn due(
    pool: &PgPool,
    limit: usize,
    now: i64,
    until: i64,
) -> Result<Vec<Task>, StoreError> {
    let rows = sqlx::query(
        "UPDATE registration SET attempts = attempts + 1, due = $3 WHERE number IN \
         (SELECT number FROM registration WHERE state = 0 AND due <= $2 ORDER BY due LIMIT $1 \
         FOR UPDATE SKIP LOCKED) RETURNING number, wanted, generation, attempts - 1, pointer",
    )
    .bind(i64::try_from(limit).unwrap_or(i64::MAX))
    .bind(now)
    .bind(until)
    .fetch_all(pool)
    .await?;
    let tasks = rows.iter().map(|row| Task {
        number: row.get(0),
        wanted: row.get::<i64, _>(1) == 1,
        generation: row.get(2),
        attempts: row.get(3),
        pointer: row.get(4),
    });
    Ok(tasks.collect())
}

/// Writes down what became of tasks.
pub(super) async fn settle(pool: &PgPool, outcomes: &[Outcome]) -> Result<(), StoreError> {
    let mut transaction = pool.begin().await?;
    for Outcome { number, generation, result } in outcomes {
        let statement = match result {
            Settled::Registered { pointer } => sqlx::query(
                "UPDATE registration SET pointer = $3, problem = NULL, \
                 state = CASE WHEN generation = $2 THEN 1 ELSE state END, \
                 due = CASE WHEN generation = $2 THEN due ELSE 0 END WHERE number = $1",
            )
            .bind(number)
            .bind(generation)
            .bind(pointer),
            Settled::Withdrawn => sqlx::query(
                "UPDATE registration SET pointer = NULL, problem = NULL, \
                 state = CASE WHEN generation = $2 THEN 1 ELSE state END, \
                 due = CASE WHEN generation = $2 THEN due ELSE 0 END WHERE number = $1",
            )
            .bind(number)
            .bind(generation),
            Settled::Retry { due, problem } => sqlx::query(
                "UPDATE registration SET due = $3, problem = $4 \
                 WHERE number = $1 AND generation = $2",
            )
            .bind(number)
            .bind(generation)
            .bind(due)
            .bind(problem),
            Settled::Parked { problem } => sqlx::query(
                "UPDATE registration SET state = 2, problem = $3 \
                 WHERE number = $1 AND generation = $2",
            )
            .bind(number)
            .bind(generation)
            .bind(problem),
        };
        statement.execute(&mut *transaction).await?;
    }
    transaction.commit().await?;
    Ok(())
}

/// How many are to do, and how many are parked.
pub(super) async fn depth(pool: &PgPool) -> Result<(i64, i64), StoreError> {
    let row = sqlx::query(
        "SELECT count(*) FILTER (WHERE state = 0), count(*) FILTER (WHERE state = 2) \
         FROM registration",
    )
    .fetch_one(pool)
    .await?;
    Ok((row.get(0), row.get(1)))
}
