//! kube-controller-manager and kube-scheduler, for tests that need more of a cluster than its API.

use anyhow::Result;

use super::api_server::{AUTHORITY_FILE, SERVICE_ACCOUNT_KEY_FILE};
use super::process::{Process, command};
use super::{ControlPlane, program, programs};

impl ControlPlane {
    /// Starts kube-controller-manager and kube-scheduler, and waits until controllers act. From then on
    /// namespaces end, garbage is collected, workloads get pods, and a node whose kubelet is silent for 8 s
    /// is not ready.
    ///
    /// # Errors
    /// Where a program is not built, leaves early, or does nothing within 90 s.
    pub fn start_controllers(&mut self) -> Result<()> {
        programs::require(&["kube-controller-manager", "kube-scheduler"])?;
        let at = |name: &str| self.folder.path().join(name).display().to_string();
        let flags = [
            format!("--root-ca-file={}", at(AUTHORITY_FILE)),
            format!("--service-account-private-key-file={}", at(SERVICE_ACCOUNT_KEY_FILE)),
            "--use-service-account-credentials=true".to_owned(),
            "--node-monitor-period=1s".to_owned(),
            "--node-monitor-grace-period=8s".to_owned(),
        ];
        self.start_controller("kube-controller-manager", &flags)?;
        self.start_controller("kube-scheduler", &[])?;
        self.await_answer(&["get", "serviceaccount", "default", "-n", "default"])
    }

    fn start_controller(&mut self, name: &'static str, flags: &[String]) -> Result<()> {
        let user = self.certificate_identity(&format!("system:{name}"), None)?;
        let mut controller = command(&self.settings.launcher, &program(name)?);
        controller.arg("--kubeconfig").arg(&user.kubeconfig);
        // One of each, and nobody asks for their metrics: no election, no port.
        controller.args(["--leader-elect=false", "--secure-port=0"]).args(flags);
        self.controllers.push(Process::start(name, controller, self.folder.path())?);
        Ok(())
    }
}
