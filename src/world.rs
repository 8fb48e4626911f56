//! A whole world in one process: a locator and its regions, each with a hub and a gateway that
//! speak to each other over TCP alone.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use fhir::identifier::OdsCode;
use gateway::Gateway;
use gateway::config::GatewayConfig;
use hub::Hub;
use hub::access::decision::AccessConfig;
use hub::config::{
    AuditConfig, HubConfig, LocatorConfig as HubLocator, RecordConfig, RegistrationConfig,
    StoreConfig,
};
use hub::custody::policy::CustodyConfig;
use locator_mock::{Locator, LocatorConfig, Store as LocatorStore};
use service::clock::Clock;
use service::config::{Admin, Nation, Region, Security, Server};
use service::limit::Limits;
use service::program::{ProgramError, bind};
use service::serve::Shutdown;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

const OPEN: Security = Security::open();
const DRAIN_MS: u64 = 2_000;

/// What a world is made of.
#[derive(Debug, Clone)]
pub struct Layout {
    /// Its regions, in the order of their ports.
    pub regions: Vec<Region>,
    /// The locator's port; region i follows at `+10i+1` (hub) and `+10i+2` (gateway), admin
    /// listeners at `+9`, `+10i+3` and `+10i+4`. `None`: any free ports.
    pub base_port: Option<u16>,
    /// The folder in which everything is kept.
    pub state: PathBuf,
    /// How long a federated question may take.
    pub deadline_ms: u64,
}

/// A world that is running.
#[derive(Debug)]
pub struct World {
    /// The locator's URL: the part before `/producer` and `/consumer`.
    pub locator_url: String,
    /// The regions.
    pub sites: Vec<Site>,
    locator: Running,
}

/// A region that is running.
#[derive(Debug)]
pub struct Site {
    /// The region.
    pub region: Region,
    /// Its hub's FHIR base.
    pub hub_url: String,
    /// Its gateway's FHIR base.
    pub gateway_url: String,
    /// Its hub.
    pub hub: Arc<Hub>,
    hub_task: Running,
    gateway_task: Running,
}

/// A service and how to stop it.
#[derive(Debug)]
struct Running {
    shutdown: Shutdown,
    task: JoinHandle<Result<(), ProgramError>>,
}

impl Running {
    async fn stop(self) -> Result<(), ProgramError> {
        self.shutdown.trigger();
        self.task.await.map_err(|error| ProgramError::failed("stopping a service", error))?
    }
}

/// A public and an admin listener, bound.
struct Listeners {
    public: TcpListener,
    admin: TcpListener,
    address: SocketAddr,
    admin_address: SocketAddr,
}

impl Listeners {
    async fn bind(base: Option<u16>, public: u16, admin: u16) -> Result<Self, ProgramError> {
        let at = |offset| SocketAddr::from((Ipv4Addr::LOCALHOST, base.map_or(0, |b| b + offset)));
        let (public, admin) = (bind(at(public)).await?, bind(at(admin)).await?);
        let address = |listener: &TcpListener| {
            listener.local_addr().map_err(|error| ProgramError::failed("listening", error))
        };
        Ok(Self { address: address(&public)?, admin_address: address(&admin)?, public, admin })
    }

    fn server(&self, path: &str) -> Server {
        let public_url = format!("http://{}{path}", self.address);
        Server { listen: self.address, public_url, drain_ms: DRAIN_MS }
    }

    fn admin(&self) -> Admin {
        Admin { listen: self.admin_address }
    }
}

impl World {
    /// Starts everything; each service is listening when this returns.
    pub async fn start(layout: &Layout) -> Result<Self, ProgramError> {
        let locator = Listeners::bind(layout.base_port, 0, 9).await?;
        let locator_url = format!("http://{}", locator.address);
        let mut listeners = Vec::with_capacity(layout.regions.len());
        for place in 1..=layout.regions.len() as u16 {
            let hub = Listeners::bind(layout.base_port, 10 * place + 1, 10 * place + 3).await?;
            let gateway = Listeners::bind(layout.base_port, 10 * place + 2, 10 * place + 4).await?;
            listeners.push((hub, gateway));
        }
        let directory: Vec<gateway::directory::Region> = layout
            .regions
            .iter()
            .zip(&listeners)
            .map(|(region, (hub, _))| gateway::directory::Region {
                ods: region.ods.clone(),
                name: region.name.clone(),
                nation: region.nation,
                url: hub.server("/FHIR/R4").public_url,
            })
            .collect();
        let locator = start_locator(layout, locator)?;
        let mut sites = Vec::with_capacity(listeners.len());
        for (region, (hub, gateway)) in layout.regions.iter().zip(listeners) {
            let site = Start { layout, region, locator_url: &locator_url, directory: &directory };
            sites.push(site.start(hub, gateway).await?);
        }
        Ok(Self { locator_url, sites, locator })
    }

    /// The region of an organisation.
    pub fn site(&self, ods: &OdsCode) -> Option<&Site> {
        self.sites.iter().find(|site| site.region.ods == *ods)
    }

    /// Stops everything, hubs after gateways; what was acknowledged is on the disk.
    pub async fn stop(self) -> Result<(), ProgramError> {
        let (mut gateways, mut hubs) = (Vec::new(), Vec::new());
        for site in self.sites {
            gateways.push(site.gateway_task.stop());
            hubs.push(site.hub_task.stop());
        }
        for result in futures::future::join_all(gateways).await {
            result?;
        }
        for result in futures::future::join_all(hubs).await {
            result?;
        }
        self.locator.stop().await
    }
}

fn start_locator(layout: &Layout, listeners: Listeners) -> Result<Running, ProgramError> {
    let file = layout.state.join("locator.db");
    let store = LocatorStore { url: format!("sqlite://{}", file.display()) };
    let config = LocatorConfig::new(listeners.server(""), listeners.admin(), store, OPEN);
    let locator = Locator::open(config, Clock::System)?;
    let shutdown = Shutdown::default();
    let stop = shutdown.clone();
    let task = tokio::spawn(async move {
        locator.serve(listeners.public, Some(listeners.admin), stop).await;
        Ok(())
    });
    Ok(Running { shutdown, task })
}

/// What a region needs to start.
struct Start<'a> {
    layout: &'a Layout,
    region: &'a Region,
    locator_url: &'a str,
    directory: &'a [gateway::directory::Region],
}

impl Start<'_> {
    async fn start(&self, hub: Listeners, gateway: Listeners) -> Result<Site, ProgramError> {
        let (hub_config, gateway_config) = (self.hub(&hub), self.gateway(&gateway));
        let (hub_url, gateway_url) =
            (hub_config.server.public_url.clone(), gateway_config.server.public_url.clone());
        let opened = Hub::open(hub_config, Clock::System).await?;
        let hub_stop = Shutdown::default();
        let serving = opened.clone().serve(hub.public, Some(hub.admin), hub_stop.clone());
        let hub_task = Running { shutdown: hub_stop, task: tokio::spawn(serving) };
        let opened_gateway = Gateway::open(gateway_config, Clock::System)?;
        let gateway_stop = Shutdown::default();
        let stop = gateway_stop.clone();
        let task = tokio::spawn(async move {
            opened_gateway.serve(gateway.public, Some(gateway.admin), stop).await;
            Ok(())
        });
        let gateway_task = Running { shutdown: gateway_stop, task };
        let region = self.region.clone();
        Ok(Site { region, hub_url, gateway_url, hub: opened, hub_task, gateway_task })
    }

    fn hub(&self, listeners: &Listeners) -> HubConfig {
        let file = self.layout.state.join(format!("hub-{}.db", self.region.ods));
        HubConfig {
            server: listeners.server("/FHIR/R4"),
            admin: listeners.admin(),
            region: self.region.clone(),
            security: OPEN,
            tls: None,
            store: StoreConfig { url: format!("sqlite://{}", file.display()) },
            locator: Some(HubLocator { url: self.locator_url.to_owned(), token: None }),
            registration: RegistrationConfig::default(),
            record: RecordConfig::default(),
            custody: CustodyConfig::default(),
            access: AccessConfig::default(),
            audit: AuditConfig::default(),
            limits: Limits::default(),
        }
    }

    fn gateway(&self, listeners: &Listeners) -> GatewayConfig {
        GatewayConfig {
            server: listeners.server("/FHIR/R4"),
            admin: listeners.admin(),
            region: self.region.clone(),
            locator: gateway::config::Locator {
                url: self.locator_url.to_owned(),
                deadline_ms: 3_000,
                reuse_ms: 0,
                token: None,
            },
            security: OPEN,
            tls: None,
            identity: gateway::config::Identity::default(),
            federation: gateway::config::Federation {
                deadline_ms: self.layout.deadline_ms,
                ..gateway::config::Federation::default()
            },
            directory: None,
            regions: self.directory.to_vec(),
            audit: gateway::config::Audit { dir: Some(self.layout.state.clone()) },
            limits: Limits::default(),
        }
    }
}

/// The demonstration's regions: two English integrated care boards and a Scottish health board.
pub fn demo_regions() -> Vec<Region> {
    let region = |ods: &str, name: &str, nation| Region {
        ods: ods.parse().expect("a well-formed code"),
        name: name.to_owned(),
        nation,
    };
    vec![
        region("QWO", "West Yorkshire", Nation::England),
        region("QHM", "North East and North Cumbria", Nation::England),
        region("S08", "NHS Highland", Nation::Scotland),
    ]
}
