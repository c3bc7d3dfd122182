//! Users of the API server, each with the kubeconfig file that proves who they are.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::{Value, json};

use super::ControlPlane;
use super::authority::{Authority, Leaf};

/// How long a token is good: longer than any test, so that what a test sees is never a token's end.
const TOKEN_DURATION: &str = "24h";

/// Somebody whom the API server knows.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The user's name as RBAC and admission policies see it, as `system:serviceaccount:NAMESPACE:NAME`.
    pub user: String,
    /// The kubeconfig file. It stands alone (certificates and tokens are inside), so a copy of it works too.
    pub kubeconfig: PathBuf,
}

impl Identity {
    /// A client of the API server for this user. The server must be reachable from the network namespace of
    /// the calling thread.
    ///
    /// # Errors
    /// Where the kubeconfig does not parse; not where the server is away, which the first request says.
    pub async fn client(&self) -> Result<kube::Client> {
        let file = Kubeconfig::read_from(&self.kubeconfig).context("the kubeconfig")?;
        let mut config = kube::Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?;
        // From the environment, and of no use for a server on this host.
        config.proxy_url = None;
        Ok(kube::Client::try_from(config)?)
    }
}

impl ControlPlane {
    /// A user by client certificate: `("system:node:rs-1", Some("system:nodes"))` for a kubelet, say.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn certificate_identity(&self, user: &str, group: Option<&str>) -> Result<Identity> {
        self.identity(user, &certificate_proof(&self.authority.client(user, group)?))
    }

    /// The service account `name` with a token of its own, as the operator's pod has one. Namespace and
    /// account are made where they do not exist. What it may do is for RBAC objects that the caller applies.
    ///
    /// # Errors
    /// Where the API server refuses, or does not answer.
    pub fn service_account(&self, namespace: &str, name: &str) -> Result<Identity> {
        self.put_service_account(namespace, name)?;
        self.token_identity(namespace, name, &[])
    }

    /// The agent of one node: a token of the service account `name`, bound to a pod that is bound to `node`,
    /// so that the server knows the node whose agent is asking (`authentication.kubernetes.io/node-name` in
    /// the user's extra fields; KEP-4193). The pod (`NAME-NODE`) is an object and nothing more where no
    /// kubelet runs it; it is made where it does not exist. The Node object should exist before, else the
    /// token lacks its uid.
    ///
    /// # Errors
    /// Where the API server refuses, or does not answer.
    pub fn agent(&self, namespace: &str, name: &str, node: &str) -> Result<Identity> {
        self.put_service_account(namespace, name)?;
        let pod = format!("{name}-{node}");
        let uid_path =
            ["get", "pod", &pod, "-n", namespace, "--ignore-not-found", "-o", "jsonpath={.metadata.uid}"];
        let mut uid = self.kubectl(&uid_path, "")?;
        if uid.is_empty() {
            // nodeName stands in the object from the start: there may be no scheduler to put it there.
            let object = json!({
                "apiVersion": "v1", "kind": "Pod", "metadata": {"name": pod, "namespace": namespace},
                "spec": {
                    "serviceAccountName": name, "nodeName": node, "hostNetwork": true,
                    "tolerations": [{"operator": "Exists"}],
                    "containers": [{"name": "agent", "image": "lvs-node-agent"}],
                },
            });
            self.kubectl(&["create", "-f", "-"], &object.to_string())?;
            uid = self.kubectl(&uid_path, "")?;
        }
        let bound = ["--bound-object-kind", "Pod", "--bound-object-name", &pod, "--bound-object-uid", &uid];
        self.token_identity(namespace, name, &bound)
    }

    fn put_service_account(&self, namespace: &str, name: &str) -> Result<()> {
        let objects = json!({"apiVersion": "v1", "kind": "List", "items": [
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}},
            {
                "apiVersion": "v1", "kind": "ServiceAccount",
                "metadata": {"name": name, "namespace": namespace},
            },
        ]});
        self.kubectl(&["apply", "--server-side", "-f", "-"], &objects.to_string())?;
        Ok(())
    }

    fn token_identity(&self, namespace: &str, name: &str, bound: &[&str]) -> Result<Identity> {
        let mut args = vec!["create", "token", name, "-n", namespace, "--duration", TOKEN_DURATION];
        args.extend(bound);
        let token = self.kubectl(&args, "")?;
        self.identity(&format!("system:serviceaccount:{namespace}:{name}"), &json!({"token": token.trim()}))
    }

    fn identity(&self, user: &str, proof: &Value) -> Result<Identity> {
        write_kubeconfig(self.folder.path(), &self.url(), &self.authority.certificate, user, proof)
    }
}

/// The administrator, by certificate.
pub(super) fn administrator(folder: &Path, url: &str, authority: &Authority) -> Result<Identity> {
    let proof = certificate_proof(&authority.client("admin", Some("system:masters"))?);
    write_kubeconfig(folder, url, &authority.certificate, "admin", &proof)
}

fn certificate_proof(leaf: &Leaf) -> Value {
    json!({
        "client-certificate-data": STANDARD.encode(&leaf.certificate),
        "client-key-data": STANDARD.encode(&leaf.key),
    })
}

/// Writes a kubeconfig for `user` under a name of its own (one user may have several tokens).
fn write_kubeconfig(
    folder: &Path,
    url: &str,
    authority: &str,
    user: &str,
    proof: &Value,
) -> Result<Identity> {
    // JSON is YAML.
    let text = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "e2e",
        "clusters": [{
            "name": "e2e",
            "cluster": {"server": url, "certificate-authority-data": STANDARD.encode(authority)},
        }],
        "users": [{"name": user, "user": proof}],
        "contexts": [{"name": "e2e", "context": {"cluster": "e2e", "user": user}}],
    });
    let prefix = format!("{}-", user.replace([':', '/'], "-"));
    let file = tempfile::Builder::new().prefix(&prefix).suffix(".kubeconfig").tempfile_in(folder)?;
    fs::write(file.path(), text.to_string()).context("write a kubeconfig")?;
    let (_, kubeconfig) = file.keep()?;
    Ok(Identity { user: user.to_owned(), kubeconfig })
}
