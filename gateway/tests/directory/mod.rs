//! The signed list of regions: taken while the gateway serves, and refused when it cannot be trusted.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use gateway::directory::command::{MakeKey, Sign, make_key, sign_directory};
use tempfile::TempDir;

use crate::world::{Answer, Fake, World, hub, locator, observation};

/// Far longer than it takes to look at the file again.
const NOTICED_MAX: Duration = Duration::from_secs(20);

/// Who keeps the list.
struct Keeper {
    folder: TempDir,
}

impl Keeper {
    fn new() -> Self {
        let keeper = Self { folder: tempfile::tempdir().unwrap() };
        for key in ["own", "other"] {
            make_key(&MakeKey { file: keeper.file(key) }).unwrap();
        }
        keeper
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Publishes a list, signed with a key.
    fn publish(&self, serial: u64, regions: &[(&Fake, &str, &str)], key: &str) {
        let mut text = format!("serial = {serial}\n");
        for (fake, ods, status) in regions {
            text.push_str(&fake.region(ods));
            writeln!(text, "status = \"{status}\"").unwrap();
        }
        let draft = self.file("draft.toml");
        std::fs::write(&draft, text).unwrap();
        sign_directory(&Sign { key: self.file(key), file: draft.clone() }).unwrap();
        std::fs::rename(draft, self.file("directory.toml")).unwrap();
    }

    /// `[directory]`
    fn table(&self) -> String {
        let (file, key) = (self.file("directory.toml"), self.file("own.pub"));
        format!(
            "[directory]\nfile = \"{}\"\nkey_file = \"{}\"\nreload_s = 1\n",
            file.display(),
            key.display()
        )
    }
}

async fn becomes(world: &World, regions: &str) -> Answer {
    let until = Instant::now() + NOTICED_MAX;
    loop {
        let answer = world.observations("").await;
        if answer.header("x-federation-regions") == regions {
            return answer;
        }
        assert!(Instant::now() < until, "{}", answer.header("x-federation-regions"));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Waits until the file has surely been looked at, and asserts that nothing has changed.
async fn stays(world: &World, regions: &str) {
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    let answer = world.observations("").await;
    assert_eq!(answer.header("x-federation-regions"), regions);
}

#[tokio::test]
async fn a_suspended_region_is_named_and_not_asked_and_only_a_better_list_changes_that() {
    let home = hub(vec![observation("a", "2026-01-01")]).await;
    let far = hub(vec![observation("b", "2026-01-02")]).await;
    let locator = locator(&["HOME", "FAR"]).await;
    let keeper = Keeper::new();
    let list = |status| [(&home, "HOME", "active"), (&far, "FAR", status)];
    keeper.publish(7, &list("active"), "own");
    // What [[regions]] says is not looked at.
    let tables = [keeper.table(), home.region("FAR")];
    let world = World::configured(&locator.origin, "deadline_ms = 2000", &tables).await;
    becomes(&world, "total=2,ok=2").await;
    keeper.publish(8, &list("suspended"), "own");
    let answer = becomes(&world, "total=2,ok=1,suspended=1").await;
    assert_eq!(answer.header("x-federation-complete"), "false");
    assert_eq!(answer.ids(), ["HOME/a"]);
    assert!(answer.says("Region FAR (FAR) is suspended"));
    let asked = far.seen().len();
    let read = world.get("at/FAR/Observation/b").await;
    assert_eq!(read.status, 502);
    assert!(read.says("is suspended"));
    let suspended = "total=2,ok=1,suspended=1";
    // Another's signature; an edition before; the same number for something else; no list at all.
    keeper.publish(9, &list("active"), "other");
    stays(&world, suspended).await;
    keeper.publish(7, &list("active"), "own");
    stays(&world, suspended).await;
    keeper.publish(8, &list("active"), "own");
    stays(&world, suspended).await;
    std::fs::write(keeper.file("directory.toml"), "serial = 9\nregions = []\n").unwrap();
    stays(&world, suspended).await;
    std::fs::remove_file(keeper.file("directory.toml")).unwrap();
    stays(&world, suspended).await;
    assert_eq!(far.seen().len(), asked, "a suspended region is asked");
    keeper.publish(9, &list("active"), "own");
    becomes(&world, "total=2,ok=2").await;
}

#[tokio::test]
async fn a_signature_covers_every_byte_of_the_list() {
    use gateway::directory::signed::PublicKey;
    let far = hub(vec![]).await;
    let keeper = Keeper::new();
    keeper.publish(1, &[(&far, "FAR", "suspended")], "own");
    let key = PublicKey::load(&keeper.file("own.pub")).unwrap();
    let text = std::fs::read_to_string(keeper.file("directory.toml")).unwrap();
    let listed = key.open(&text).unwrap();
    assert_eq!((listed.serial, listed.regions.len(), listed.suspended.len()), (1, 1, 1));
    let body = text.rfind("# signature").unwrap();
    for at in 0..body {
        let mut changed = text.clone().into_bytes();
        changed[at] ^= 1;
        let Ok(changed) = String::from_utf8(changed) else { continue };
        assert!(key.open(&changed).is_err(), "byte {at}");
    }
    for changed in [&text[..body], &format!("{text}serial = 2\n"), ""] {
        assert!(key.open(changed).is_err(), "{changed}");
    }
    let other = PublicKey::load(&keeper.file("other.pub")).unwrap();
    assert!(other.open(&text).is_err());
    assert!(PublicKey::load(&keeper.file("own")).is_err(), "a private key is none");
}
