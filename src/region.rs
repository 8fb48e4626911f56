//! `shared-record region`: one region's hub and gateway in one process. The file's `[hub]` and
//! `[gateway]` tables are what the two services' own files would hold.

use std::path::Path;

use gateway::Gateway;
use gateway::config::{ENVIRONMENT_PREFIX, GatewayConfig};
use hub::Hub;
use hub::config::{HubConfig, PREFIX};
use service::clock::Clock;
use service::config::load_table;
use service::program::{ProgramError, bind};
use service::serve::Shutdown;

/// Serves the region that `file` describes until `shutdown`.
pub async fn run(file: &Path, shutdown: Shutdown) -> Result<(), ProgramError> {
    let hub: HubConfig = load_table(file, "hub", PREFIX)?;
    let gateway: GatewayConfig = load_table(file, "gateway", ENVIRONMENT_PREFIX)?;
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
