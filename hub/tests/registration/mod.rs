//! The outbox: what the locator should know is written with the Patient. `sending`: what becomes of it,
//! and what the locator's answers lead to. `reconciling`: what the locator holds, compared with it.

mod locator;
mod reconciling;
mod sending;

use hub::registration::outbox::{Depth, Outcome, Settled, Task};

use crate::kit::{Kit, on_both_engines};

on_both_engines!(
    a_patients_number_is_to_be_registered,
    a_number_that_goes_is_to_be_withdrawn,
    a_taken_task_is_remembered_as_tried,
    an_outcome_of_an_older_wish_settles_nothing,
);

fn patient(number: &str) -> String {
    format!(
        r#"{{"resourceType":"Patient","id":"p","identifier":[{{"system":"https://fhir.nhs.uk/Id/nhs-number","value":"{number}"}}]}}"#
    )
}

async fn due(kit: &Kit, lease_micros: i64) -> Vec<Task> {
    let until = kit.hub.clock.now_micros() + lease_micros;
    kit.hub.store.due_registrations(10, until).await.unwrap()
}

async fn settle(kit: &Kit, task: &Task, result: Settled) {
    let outcome = Outcome { number: task.number.clone(), generation: task.generation, result };
    kit.hub.store.settle_registrations(vec![outcome]).await.unwrap();
}

fn registered() -> Settled {
    Settled::Registered { pointer: "QWO-1".into() }
}

async fn a_patients_number_is_to_be_registered(kit: Kit) {
    kit.put("Patient/p", &patient("9990000050")).await;
    kit.put("Patient/q", r#"{"resourceType":"Patient","id":"q"}"#).await;
    let tasks = due(&kit, 0).await;
    assert_eq!(tasks.len(), 1);
    assert_eq!((tasks[0].number.as_str(), tasks[0].wanted), ("9990000050", true));
    settle(&kit, &tasks[0], registered()).await;
    assert_eq!(due(&kit, 0).await, []);
    // Nothing about the number changed: nothing is to be done.
    let unchanged = patient("9990000050").replace("\"p\"", "\"p\",\"active\":true");
    kit.put("Patient/p", &unchanged).await;
    assert_eq!(due(&kit, 0).await, []);
    assert_eq!(kit.hub.store.registration_depth().await.unwrap(), Depth::default());
}

async fn a_number_that_goes_is_to_be_withdrawn(kit: Kit) {
    kit.put("Patient/p", &patient("9990000050")).await;
    settle(&kit, &due(&kit, 0).await[0], registered()).await;
    kit.put("Patient/p", &patient("9990000069")).await;
    let mut tasks = due(&kit, 0).await;
    tasks.sort_by(|a, b| a.number.cmp(&b.number));
    let wishes: Vec<(&str, bool)> = tasks.iter().map(|t| (t.number.as_str(), t.wanted)).collect();
    assert_eq!(wishes, [("9990000050", false), ("9990000069", true)]);
    assert_eq!(tasks[0].pointer.as_deref(), Some("QWO-1"));
    settle(&kit, &tasks[0], Settled::Withdrawn).await;
    settle(&kit, &tasks[1], registered()).await;
    kit.delete("Patient/p").await;
    let tasks = due(&kit, 0).await;
    assert_eq!((tasks.len(), tasks[0].wanted), (1, false));
}

async fn a_taken_task_is_remembered_as_tried(kit: Kit) {
    kit.put("Patient/p", &patient("9990000050")).await;
    assert_eq!(due(&kit, 60_000_000).await[0].attempts, 0);
    assert_eq!(due(&kit, 0).await, [], "leased to the one who took it");
    let task = Task {
        number: "9990000050".into(),
        holder: 0,
        wanted: true,
        generation: 1,
        attempts: 0,
        pointer: None,
    };
    settle(&kit, &task, Settled::Retry { due: 0, problem: "x".into() }).await;
    assert_eq!(due(&kit, 0).await[0].attempts, 1);
    settle(&kit, &task, Settled::Parked { problem: "refused".into() }).await;
    assert_eq!(due(&kit, 0).await, []);
    let depth = kit.hub.store.registration_depth().await.unwrap();
    assert_eq!(depth, Depth { waiting: 0, oldest: None, parked: 1 });
}

async fn an_outcome_of_an_older_wish_settles_nothing(kit: Kit) {
    kit.put("Patient/p", &patient("9990000050")).await;
    let task = due(&kit, 60_000_000).await.remove(0);
    kit.delete("Patient/p").await;
    settle(&kit, &task, registered()).await;
    let tasks = due(&kit, 0).await;
    assert_eq!((tasks.len(), tasks[0].wanted), (1, false));
    assert_eq!(tasks[0].pointer.as_deref(), Some("QWO-1"), "but the pointer is known");
}
