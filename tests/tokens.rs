//! A locator that demands access tokens, as the real one does: hub and gateway buy theirs with a signed
//! assertion, renew them before they expire, and go on when the key is changed.

use std::time::Duration;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{KeyPair, RsaKeyPair};
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::kit::{
    Http, Place, PortTaken, Process, REGISTRATION_TIME_MAX, eventually, numbers, on_free_ports,
    record,
};

/// How long a token is good for.
const TOKEN_LIFE: Duration = Duration::from_secs(2);
const API_KEY: &str = "8b1f3a52-an-api-key";

struct Site {
    place: Place,
    folder: TempDir,
    http: Http,
}

impl Site {
    /// Makes a key; the file `{kid}.pem` holds it, and this is its public half.
    fn make_key(&self, kid: &str) -> Value {
        let key = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let der: Pkcs8V1Der<'_> = key.as_der().unwrap();
        let text = BASE64_STANDARD.encode(der.as_ref());
        let pem = format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n");
        std::fs::write(self.file(&format!("{kid}.pem")), pem).unwrap();
        let part = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
        let public = key.public_key();
        json!({
            "kty": "RSA", "kid": kid, "alg": "RS512",
            "n": part(public.modulus().big_endian_without_leading_zero()),
            "e": part(public.exponent().big_endian_without_leading_zero()),
        })
    }

    fn file(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    /// Starts the locator in enforced mode, with these public keys of its one application.
    async fn start_locator(&self, keys: Value) -> Process {
        std::fs::write(self.file("jwks.json"), json!({"keys": keys}).to_string()).unwrap();
        for role in ["producer", "consumer"] {
            let file = self.file(&format!("permissions/{role}/shared-record.json"));
            std::fs::create_dir_all(std::path::Path::new(&file).parent().unwrap()).unwrap();
            std::fs::write(file, r#"{"access_controls":["allow_all_types"]}"#).unwrap();
        }
        let config = self.place.locator_config(self.folder.path()).replace("open", "enforced")
            + &format!(
                "token = {{ expires_in_s = {} }}\npermissions = {{ folder = \"{}\" }}\n\
                 applications = [{{ client_id = \"{API_KEY}\", app_id = \"shared-record\", \
                 jwks = \"{}\" }}]\n",
                TOKEN_LIFE.as_secs(),
                self.file("permissions"),
                self.file("jwks.json")
            );
        let probe = self.place.locator() + "/ready";
        let started = Process::serve(self.folder.path(), "locator-mock", &config, &probe).await;
        started.expect("the port was free a moment ago")
    }

    /// A configuration with access tokens that are bought with a key.
    fn with_key(&self, config: &str, kid: &str) -> String {
        let locator = self.place.locator();
        let (url, pem) = (format!("{{ url = \"{locator}\""), self.file(&format!("{kid}.pem")));
        assert!(config.contains(&url));
        let token = format!(
            "{url}, token = {{ url = \"{locator}/oauth2/token\", api_key = \"{API_KEY}\", \
             key_id = \"{kid}\", private_key_file = \"{pem}\" }}"
        );
        config.replace(&url, &token)
    }

    async fn start_hub(&self, kid: &str) -> Result<Process, PortTaken> {
        let store = format!("sqlite://{}", self.file("hub.db"));
        let config = self.with_key(&self.place.hub_config(0, &store, self.folder.path()), kid);
        let probe = self.place.hub(0).replace("/FHIR/R4", "/ready");
        Process::serve(self.folder.path(), "hub", &config, &probe).await
    }

    /// Starts the gateway of a region without a hub: it knows of a record by the locator alone.
    async fn start_gateway(&self, kid: &str) -> Result<Process, PortTaken> {
        let config = self.with_key(&self.place.gateway_config(1, "Q99", ""), kid);
        let probe = self.place.gateway(1).replace("/FHIR/R4", "/ready");
        Process::serve(self.folder.path(), "gateway", &config, &probe).await
    }

    async fn write(&self, number: &str) {
        self.http.transact(&self.place.hub(0), record(number, &["36.60"])).await.unwrap().ok();
    }

    /// Waits until the gateway finds the record of a number.
    async fn is_found(&self, number: &str) {
        eventually("the record is found", REGISTRATION_TIME_MAX, async || {
            let answer = self.http.observations(&self.place.gateway(1), number).await;
            (answer.header("x-federation-regions") == "total=1,ok=1").then_some(())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn registration_and_lookup_go_on_while_tokens_expire_and_keys_change() {
    let start = async |base| {
        let site = Site { place: Place(base), folder: TempDir::new().unwrap(), http: Http::new() };
        let first = site.make_key("first");
        let (hub, gateway) = (site.start_hub("first").await?, site.start_gateway("first").await?);
        Ok((site, first, hub, gateway))
    };
    let (site, first, hub, gateway) = on_free_ports(Place::PORTS, start).await;
    let numbers: Vec<String> = numbers().take(3).collect();
    site.write(&numbers[0]).await;
    let locator = site.start_locator(json!([first])).await;
    site.is_found(&numbers[0]).await;
    // Both tokens expire, and nobody notices.
    tokio::time::sleep(TOKEN_LIFE + Duration::from_millis(500)).await;
    let answer = site.http.observations(&site.place.gateway(1), &numbers[0]).await.ok();
    assert_eq!(answer.header("x-federation-regions"), "total=1,ok=1");
    site.write(&numbers[1]).await;
    site.is_found(&numbers[1]).await;
    // Another key is registered, and the one before is taken back.
    let second = site.make_key("second");
    locator.stop().await;
    let locator = site.start_locator(json!([second])).await;
    site.write(&numbers[2]).await;
    let answer = site.http.observations(&site.place.gateway(1), &numbers[0]).await;
    assert_eq!(answer.status, 503, "{}", answer.text());
    let told = "Invalid 'kid' header in JWT - no matching public key";
    eventually("both say why", REGISTRATION_TIME_MAX, async || {
        (hub.stderr().contains(told) && gateway.stderr().contains(told)).then_some(())
    })
    .await;
    for (process, name) in [(hub, "hub"), (gateway, "gateway")] {
        assert!(!process.stderr().contains(API_KEY), "{name} logs the API key");
        process.stop().await;
    }
    let hub = site.start_hub("second").await.unwrap();
    let gateway = site.start_gateway("second").await.unwrap();
    for number in &numbers {
        site.is_found(number).await;
    }
    for process in [hub, gateway, locator] {
        process.stop().await;
    }
}

#[tokio::test]
async fn check_refuses_a_key_file_that_cannot_be_used() {
    let site = Site { place: Place(10_000), folder: TempDir::new().unwrap(), http: Http::new() };
    let _public = site.make_key("good");
    std::fs::write(site.file("bad.pem"), "no key").unwrap();
    let store = format!("sqlite://{}", site.file("hub.db"));
    let hub = site.place.hub_config(0, &store, site.folder.path());
    let gateway = site.place.gateway_config(1, "Q99", "");
    for (program, config) in [("hub", hub), ("gateway", gateway)] {
        for (kid, code) in [("good", 0), ("bad", 64), ("missing", 64)] {
            let file = crate::kit::write_config(site.folder.path(), &site.with_key(&config, kid));
            let arguments = ["check", "--config", &file];
            let mut process = Process::start(site.folder.path(), program, &arguments);
            let status = process.ended(crate::kit::READY_TIME_MAX).await;
            assert_eq!(status.code(), Some(code), "{program} {kid}: {}", process.stderr());
            let named = process.stderr().contains("private_key_file");
            assert_eq!(named, code != 0, "{}", process.stderr());
            assert!(!process.stdout().contains(API_KEY));
        }
    }
}
