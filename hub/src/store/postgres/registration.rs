//! The outbox of registrations; `add.sql` and `replace.sql` fill it. See
//! [`crate::registration::outbox`].

use fhir::identifier::NHS_NUMBER;
use sqlx::Row;
use sqlx::postgres::{PgConnection, PgPool, PgRow};

use super::rebuild::alone;
use crate::registration::outbox::{Depth, Known, KnownRow, Outcome, Settled, State, Task};
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
         FOR UPDATE SKIP LOCKED) RETURNING number, wanted, generation, attempts - 1, pointer, \
         holder",
    )
    .bind(i64::try_from(limit).unwrap_or(i64::MAX))
    .bind(now)
    .bind(until)
    .fetch_all(pool)
    .await?;
    let tasks = rows.iter().map(|row| Task {
        number: row.get(0),
        holder: row.get(5),
        wanted: row.get::<i64, _>(1) == 1,
        generation: row.get(2),
        attempts: row.get(3),
        pointer: row.get(4),
    });
    Ok(tasks.collect())
}

/// Writes down what became of tasks.
pub(super) async fn settle(
    pool: &PgPool,
    patient: i64,
    outcomes: &[Outcome],
    now: i64,
) -> Result<(), StoreError> {
    let mut transaction = pool.begin().await?;
    if outcomes.iter().any(|outcome| outcome.result == Settled::Aligned) {
        // No write is under way: each would bring its own wish, which must not be overtaken.
        alone(&mut transaction).await?;
    }
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
            Settled::Again => sqlx::query(
                "UPDATE registration SET state = 0, due = 0, since = $3, \
                 attempts = greatest(attempts, 1) \
                 WHERE number = $1 AND generation = $2 AND state <> 0",
            )
            .bind(number)
            .bind(generation)
            .bind(now),
            Settled::Aligned => {
                align(&mut transaction, patient, number, now).await?;
                continue;
            }
        };
        statement.execute(&mut *transaction).await?;
    }
    transaction.commit().await?;
    Ok(())
}

/// Makes the wish for a number what the record says.
async fn align(
    connection: &mut PgConnection,
    patient: i64,
    number: &str,
    now: i64,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO registration (number, holder, wanted, generation, state, attempts, due, since) \
         SELECT value, key, 1, 1, 0, 0, 0, $4 FROM unique_identifier \
         WHERE type = $1 AND system = $2 AND value = $3 \
         ON CONFLICT (number) DO UPDATE SET holder = excluded.holder, wanted = 1, \
         generation = registration.generation + 1, state = 0, due = 0, since = $4 \
         WHERE registration.wanted = 0 OR registration.holder <> excluded.holder",
    )
    .bind(patient)
    .bind(NHS_NUMBER)
    .bind(number)
    .bind(now)
    .execute(&mut *connection)
    .await?;
    sqlx::query(
        "UPDATE registration SET wanted = 0, generation = generation + 1, state = 0, due = 0, \
         since = $4 WHERE number = $3 AND wanted = 1 AND NOT EXISTS (SELECT 1 \
         FROM unique_identifier WHERE type = $1 AND system = $2 AND value = $3)",
    )
    .bind(patient)
    .bind(NHS_NUMBER)
    .bind(number)
    .bind(now)
    .execute(connection)
    .await?;
    Ok(())
}

/// How many are to do, and how many are parked.
pub(super) async fn depth(pool: &PgPool) -> Result<Depth, StoreError> {
    let row = sqlx::query(
        "SELECT count(*) FILTER (WHERE state = 0), min(since) FILTER (WHERE state = 0), \
         count(*) FILTER (WHERE state = 2) FROM registration WHERE state <> 1",
    )
    .fetch_one(pool)
    .await?;
    Ok(Depth { waiting: row.get(0), oldest: row.get(1), parked: row.get(2) })
}

/// The next numbers that are carried or known, in order.
pub(super) async fn known(
    pool: &PgPool,
    patient: i64,
    after: &str,
    limit: i64,
) -> Result<Vec<Known>, StoreError> {
    let rows = sqlx::query(
        "WITH page AS ((SELECT number FROM registration WHERE number > $3 ORDER BY number LIMIT $4) \
         UNION (SELECT value FROM unique_identifier WHERE type = $1 AND system = $2 AND value > $3 \
         ORDER BY value LIMIT $4) ORDER BY number LIMIT $4) \
         SELECT p.number, u.key, r.holder, r.wanted, r.generation, r.state, r.pointer, r.problem \
         FROM page p LEFT JOIN registration r ON r.number = p.number \
         LEFT JOIN unique_identifier u ON u.type = $1 AND u.system = $2 AND u.value = p.number \
         ORDER BY p.number",
    )
    .bind(patient)
    .bind(NHS_NUMBER)
    .bind(after)
    .bind(limit)
    .fetch_all(pool)
    .await?;
    Ok(rows.iter().map(read_known).collect())
}

fn read_known(row: &PgRow) -> Known {
    let known = |holder| KnownRow {
        holder,
        wanted: row.get::<i64, _>(3) == 1,
        generation: row.get(4),
        state: State::from_number(row.get(5)),
        pointer: row.get(6),
        problem: row.get(7),
    };
    let holder: Option<i64> = row.get(2);
    Known { number: row.get(0), carrier: row.get(1), row: holder.map(known) }
}

/// Numbers that the locator holds a pointer for, from one on.
pub(super) async fn sample(
    pool: &PgPool,
    from: &str,
    limit: i64,
) -> Result<Vec<String>, StoreError> {
    let numbers = sqlx::query_scalar(
        "SELECT number FROM registration WHERE number >= $1 AND state = 1 AND wanted = 1 \
         AND pointer IS NOT NULL ORDER BY number LIMIT $2",
    );
    Ok(numbers.bind(from).bind(limit).fetch_all(pool).await?)
}

/// What is kept under a name.
pub(super) async fn setting(pool: &PgPool, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
    let value = sqlx::query_scalar("SELECT value FROM setting WHERE name = $1").bind(name);
    Ok(value.fetch_optional(pool).await?)
}

/// Keeps something under a name.
pub(super) async fn keep(pool: &PgPool, name: &str, value: Vec<u8>) -> Result<(), StoreError> {
    let sql = "INSERT INTO setting (name, value) VALUES ($1, $2) \
               ON CONFLICT (name) DO UPDATE SET value = $2";
    sqlx::query(sql).bind(name).bind(value).execute(pool).await?;
    Ok(())
}
