//! `shared-record region`: one region's hub and gateway in one process. The file's `[hub]` and
//! `[gateway]` tables are what the two services' own files would hold.

use std::path::Path;

use gateway::Gateway;
use gateway::config::{ENVIRONMENT_PREFIX, GatewayConfig};
use hub::Hub;
use hub::config::{HubConfig, PREFIX};
use serde::Deserialize;
use service::clock::Clock;
use service::config::load_tables;
use service::program::{ProgramError, bind};
use service::serve::Shutdown;

/// A region's file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RegionFile {
    hub: HubConfig,
    gateway: GatewayConfig,
}

/// Serves the region that `file` describes until `shutdown`.
pub async fn run(file: &Path, shutdown: Shutdown) -> Result<(), ProgramError> {
    let tables = [("hub", PREFIX), ("gateway", ENVIRONMENT_PREFIX)];
    let RegionFile { hub, gateway } = load_tables(file, &tables)?;
    // Before a port is opened: open mode is refused where others can reach it.
    let (gateway, ()) = (gateway.checked()?, hub.check()?);
    let hub_listener = bind(hub.server.listen).await?;
    let hub_admin = bind(hub.admin.listen).await?;
    let gateway_listener = bind(gateway.server.listen).await?;
    let gateway_admin = bind(gateway.admin.listen).await?;
    let gateway = Gateway::open(gateway, Clock::System)?;
    let hub = Hub::open(hub, Clock::System).await?;
    let (served, ()) = tokio::join!(
        hub.serve(hub_listener, Some(hub_admin), shutdown.clone()),
        gateway.serve(gateway_listener, Some(gateway_admin), shutdown),
    );
    served
}
