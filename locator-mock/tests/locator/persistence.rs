//! What was acknowledged is there after the locator was stopped.

use http::StatusCode;
use locator_mock::Locator;
use service::clock::Clock;

use crate::world::{CONSUMER, NUMBER, World, config, pointer};

#[tokio::test]
async fn a_pointer_survives_a_restart() {
    let world = World::new();
    let id = world.create("QWO", &pointer("QWO", NUMBER)).await;
    let before = world.get("RX898", &format!("{CONSUMER}/{id}")).await;
    let world = World::reopen(world.close());
    let after = world.get("RX898", &format!("{CONSUMER}/{id}")).await;
    assert_eq!(after.status, StatusCode::OK);
    assert_eq!(after.body, before.body);
    assert_eq!(world.find(NUMBER, "").await.ids(), [id.as_str()]);
}

#[tokio::test]
async fn a_pointer_that_can_no_longer_be_read_is_told_in_its_place() {
    let world = World::new();
    let id = world.create("QWO", &pointer("QWO", NUMBER)).await;
    world.create("QHM", &pointer("QHM", NUMBER)).await;
    let folder = world.close();
    let database = rusqlite::Connection::open(folder.path().join("locator.db")).unwrap();
    let sql = "UPDATE shape SET text = '{' \
               WHERE key = (SELECT shape FROM pointer WHERE id = ?1)";
    database.execute(sql, [&id]).unwrap();
    drop(database);
    let found = World::reopen(folder).find(NUMBER, "").await;
    assert_eq!(found.status, StatusCode::OK);
    assert_eq!(found.body["total"], 2);
    let entries = found.body["entry"].as_array().unwrap();
    let outcomes: Vec<_> =
        entries.iter().filter(|e| e["resource"]["resourceType"] == "OperationOutcome").collect();
    assert_eq!(outcomes.len(), 1);
    assert_eq!(outcomes[0]["resource"]["issue"][0]["code"], "exception");
}

#[tokio::test]
async fn concurrent_creates_are_all_kept() {
    let world = std::sync::Arc::new(World::new());
    let creates = (0..32).map(|_| {
        let world = world.clone();
        tokio::spawn(async move { world.create("QWO", &pointer("QWO", NUMBER)).await })
    });
    for create in creates.collect::<Vec<_>>() {
        create.await.unwrap();
    }
    assert_eq!(world.find(NUMBER, "").await.body["total"], 32);
}

#[test]
fn a_locator_does_not_start_where_its_folder_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(&folder);
    config.store.url = format!("sqlite://{}/absent/l.db", folder.path().display());
    let error = Locator::open(config, Clock::System).unwrap_err().to_string();
    assert!(error.contains("does not exist"), "{error}");
}
