//! A real OpenID Connect provider: oidc-provider, started by the journeys.

use std::process::Command;

use http::Method;
use serde_json::Value;
use serde_json::json;
use tempfile::TempDir;

use crate::machine;
use crate::machine::Process;
use crate::wait::SOON;
use crate::wait::until;
use crate::wire;
use crate::world::World;

/// What the provider calls Switchback.
const CLIENT: &str = "switchback";
/// By what Switchback proves itself.
const CLIENT_SECRET: &str = "the secret of the journeys";

/// The provider.
pub struct Provider {
    process: Option<Process>,
    port: u16,
    /// Where people come to.
    desk: String,
    folder: TempDir,
}

impl Provider {
    /// Starts one for this world, whose server is told of it at its next start.
    pub async fn start(world: &mut World) -> Provider {
        let mut provider = Provider {
            process: None,
            port: machine::free_port(),
            desk: world.api.base.clone(),
            folder: tempfile::tempdir().expect("a temporary folder"),
        };
        provider.comes_up().await;
        for (name, value) in [
            ("PUBLIC_URL", world.api.base.clone()),
            ("OIDC_ISSUER", provider.issuer()),
            ("OIDC_CLIENT_ID", CLIENT.to_string()),
            ("OIDC_CLIENT_SECRET", CLIENT_SECRET.to_string()),
            ("OIDC_SCOPES", "profile,email,groups".to_string()),
            (
                "OIDC_ROLES",
                "engineering=viewer,release=approver,on-call=operator".to_string(),
            ),
            ("OIDC_LABEL", "Sign in with Example ID".to_string()),
        ] {
            world.variables.push((format!("SWITCHBACK_{name}"), value));
        }
        provider
    }

    /// Its issuer.
    pub fn issuer(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Starts it, or starts it again.
    pub async fn comes_up(&mut self) {
        let mut command = Command::new("node");
        machine::hermetic(&mut command);
        command
            .arg(machine::program("OIDC_PROVIDER"))
            .arg(self.port.to_string())
            .arg(format!("{}/sign-in/oidc/callback", self.desk))
            .arg(format!("{}/sign-in", self.desk));
        let log = self.folder.path().join("provider.log");
        let mut process = Process::start("the provider", command, &log);
        let address = format!("{}/.well-known/openid-configuration", self.issuer());
        until("the provider is ready", SOON, async || {
            assert!(process.is_running(), "the provider ended at its start");
            match wire::send(Method::GET, &address, &[], "").await {
                Ok(answer) if answer.status == 200 => Ok(()),
                Ok(answer) => Err(answer.body),
                Err(error) => Err(error),
            }
        })
        .await;
        self.process = Some(process);
    }

    /// Ends it, as an outage does.
    pub fn goes_down(&mut self) {
        self.process.take().expect("the provider runs").kill();
    }

    /// Says which groups somebody is in from now on.
    pub async fn has_in(&self, person: &str, groups: &[&str]) {
        let body: Value = json!({ person: { "groups": groups } });
        let address = format!("{}/_people", self.issuer());
        wire::send(Method::POST, &address, &[], body.to_string())
            .await
            .unwrap_or_else(|error| panic!("{error}"))
            .is(200);
    }
}
