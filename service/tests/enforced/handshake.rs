//! Who gets as far as sending a request.

use std::time::{Duration, Instant};

use rcgen::ExtendedKeyUsagePurpose;
use service::tls::Tls;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::ca::{Ca, Wanted};
use super::kit::{Kit, OWN};

/// Asserts that a client gets no answer: no byte of HTTP.
async fn assert_shut_out(kit: &Kit, client: &reqwest::Client, who: &str) {
    let answer = client.get(kit.url()).timeout(Duration::from_secs(5)).send().await;
    assert!(answer.as_ref().is_err_and(|error| !error.is_timeout()), "{who}: {answer:?}");
}

#[tokio::test]
async fn a_caller_is_the_organisation_of_its_certificate_over_http_2() {
    let kit = Kit::start().await;
    let answer = kit.client("QWO", 7).get(kit.url()).send().await.unwrap();
    assert_eq!(answer.version(), reqwest::Version::HTTP_2);
    assert_eq!(answer.text().await.unwrap(), "QWO");
}

#[tokio::test]
async fn who_proves_no_organisation_is_shut_out_before_http() {
    let kit = Kit::start().await;
    let strangers = Ca::new(kit.folder.path(), "strangers");
    let good = Wanted::of("QWO", 10);
    let other = "urn:nhs:ods:QHM".to_owned();
    for (who, identity) in [
        ("another issuer", strangers.issue(&good)),
        ("expired", kit.ca.issue(&Wanted { until: 2021, serial: 11, ..good.clone() })),
        (
            "for servers only",
            kit.ca.issue(&Wanted {
                usage: vec![ExtendedKeyUsagePurpose::ServerAuth],
                serial: 12,
                ..good.clone()
            }),
        ),
        (
            "a common name alone",
            kit.ca.issue(&Wanted { organisations: Vec::new(), serial: 13, ..good.clone() }),
        ),
        (
            "two organisations",
            kit.ca.issue(&Wanted {
                organisations: [good.organisations.clone(), vec![other]].concat(),
                serial: 14,
                ..good.clone()
            }),
        ),
        (
            "no organisation's code",
            kit.ca.issue(&Wanted {
                organisations: vec!["urn:nhs:ods:".into()],
                serial: 15,
                ..good.clone()
            }),
        ),
    ] {
        assert_shut_out(&kit, &kit.client_as(&identity), who).await;
    }
    assert!(kit.client("QWO", 16).get(kit.url()).send().await.is_ok());
}

#[tokio::test]
async fn plain_http_gets_no_answer() {
    let kit = Kit::start().await;
    let mut stream = TcpStream::connect(kit.address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    assert!(!String::from_utf8_lossy(&answer).contains("HTTP"), "{answer:?}");
}

#[tokio::test]
async fn an_older_tls_is_refused() {
    let kit = Kit::start().await;
    for (major_minor, cipher) in [([3, 1], [0, 0x2f]), ([3, 2], [0xc0, 0x13]), ([3, 3], [0, 0x0a])]
    {
        // A ClientHello of TLS 1.0, 1.1, or of 1.2 with a weak suite alone.
        let mut hello = vec![3, 3];
        hello[..2].copy_from_slice(&major_minor);
        hello.extend([7; 32]);
        hello.extend([0, 0, 2, cipher[0], cipher[1], 1, 0]);
        let mut record = vec![22, 3, 1, 0, hello.len() as u8 + 4, 1, 0, 0, hello.len() as u8];
        record.extend(hello);
        let mut stream = TcpStream::connect(kit.address).await.unwrap();
        stream.write_all(&record).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        assert_eq!(answer.first(), Some(&21), "an alert: {answer:?}");
        assert_eq!(answer.get(5), Some(&2), "a fatal one: {answer:?}");
    }
}

#[tokio::test]
async fn who_says_nothing_is_not_waited_for() {
    let kit = Kit::start().await;
    let mut stream = TcpStream::connect(kit.address).await.unwrap();
    let began = Instant::now();
    let read = stream.read(&mut [0; 16]).await;
    assert!(matches!(read, Ok(0) | Err(_)));
    assert!(began.elapsed() < Duration::from_secs(9));
}

#[tokio::test]
async fn a_revoked_certificate_is_refused_at_once_and_its_connection_ends() {
    let kit = Kit::start_with(|config| config.connection_s = 2).await;
    let revoked = kit.client("QWO", 20);
    assert!(revoked.get(kit.url()).send().await.is_ok());
    kit.ca.revoke(&[20]);
    assert_eq!(kit.tls.look(), Ok(true));
    // A new connection is refused although no file of the client's has changed.
    let files = kit.folder.path().join("regions");
    let again =
        super::ca::Identity { certificate: files.join("20.pem"), key: files.join("20.key") };
    assert_shut_out(&kit, &kit.client_as(&again), "revoked").await;
    let began = Instant::now();
    while revoked.get(kit.url()).send().await.is_ok() {
        assert!(began.elapsed() < Duration::from_secs(20), "the old connection goes on");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(kit.client("QHM", 21).get(kit.url()).send().await.is_ok());
}

#[tokio::test]
async fn an_expired_list_or_none_lets_nobody_in() {
    let kit = Kit::start().await;
    let client = kit.client("QWO", 30);
    let now_micros = || service::clock::Clock::System.now_micros();
    assert!(kit.config.expired_lists(now_micros()).unwrap().is_empty());
    kit.ca.revoke_until(2021, &[]);
    assert_eq!(kit.tls.look(), Ok(true));
    assert_shut_out(&kit, &client, "by a list of 2021").await;
    assert_eq!(kit.config.expired_lists(now_micros()).unwrap(), [kit.ca.list()]);
    // Another issuer's list says nothing of ours.
    let strangers = Ca::new(kit.folder.path(), "strangers");
    std::fs::copy(strangers.list(), kit.ca.list()).unwrap();
    assert_eq!(kit.tls.look(), Ok(true));
    assert_shut_out(&kit, &client, "without a list").await;
    std::fs::remove_file(kit.ca.list()).unwrap();
    assert!(Tls::open(&kit.config).unwrap_err().to_string().contains("crl.pem"));
    let none = service::tls::TlsConfig { crls: Vec::new(), ..kit.config.clone() };
    assert!(Tls::open(&none).unwrap_err().to_string().contains("tls.crls"));
}

#[tokio::test]
async fn a_new_certificate_is_used_without_dropping_a_connection() {
    let kit = Kit::start().await;
    let keep = kit.tls.clone();
    let stop = service::serve::Shutdown::default();
    let stopped = stop.clone();
    tokio::spawn(async move { keep.keep(stopped).await });
    let client = kit.client("QWO", 40);
    assert!(client.get(kit.url()).send().await.is_ok());
    let before = kit.tls.current().thumbprint;
    let files = super::ca::Identity {
        certificate: kit.config.certificate.clone(),
        key: kit.config.key.clone(),
    };
    // Half of a change: the key does not belong to the certificate yet.
    let key = std::fs::read(&files.key).unwrap();
    kit.ca.issue_as(&Wanted::of("HUB", OWN + 100), &files);
    let new_key = std::fs::read(&files.key).unwrap();
    std::fs::write(&files.key, key).unwrap();
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert_eq!(kit.tls.current().thumbprint, before);
    std::fs::write(&files.key, new_key).unwrap();
    let began = Instant::now();
    while kit.tls.current().thumbprint == before {
        assert!(began.elapsed() < Duration::from_secs(10));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(client.get(kit.url()).send().await.is_ok());
    assert!(kit.client("QHM", 41).get(kit.url()).send().await.is_ok());
    stop.trigger();
}

#[tokio::test]
async fn a_server_that_is_revoked_or_not_ours_is_not_spoken_to() {
    let kit = Kit::start().await;
    let identity = kit.ca.issue(&Wanted::of("QWO", 50));
    kit.ca.revoke(&[OWN]);
    assert_shut_out(&kit, &kit.client_as(&identity), "the server is revoked").await;
    let strangers = Ca::new(kit.folder.path(), "strangers");
    kit.ca.revoke(&[]);
    let trusting = service::tls::TlsConfig {
        server_ca: Some(strangers.certificate()),
        crls: vec![kit.ca.list(), strangers.list()],
        ..kit.ca.tls(&identity)
    };
    let client = Tls::open(&trusting).unwrap().current().client.clone();
    assert_shut_out(&kit, &client, "the server has another issuer").await;
    let plain = client.get(kit.url().replace("https", "http")).send().await;
    assert!(plain.is_err(), "an http URL is refused");
}
