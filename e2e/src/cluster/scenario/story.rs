//! What a cluster tells of itself when something went wrong.

use anyhow::Result;

/// How much of each answer is kept, in lines from its end.
const LINES: usize = 60;

/// The states, the events and the logs that kubectl can show. What it cannot show is said.
pub fn story(kubectl: impl Fn(&[&str]) -> Result<String>) -> String {
    let questions: [&[&str]; 7] = [
        &["get", "nodes,pods", "-A", "-o", "wide"],
        &["get", "events", "-A", "--sort-by=.lastTimestamp"],
        &["get", "virtualservices,directorgroups", "-A", "-o", "yaml"],
        &["get", "nodeplans,nodeplanslices", "-o", "yaml"],
        &[
            "logs",
            "-n",
            super::NAMESPACE,
            "-l",
            "app.kubernetes.io/name=lvs-operator",
            "--prefix",
            "--tail=20",
        ],
        &[
            "logs",
            "-n",
            super::NAMESPACE,
            "-l",
            "app.kubernetes.io/name=lvs-node-agent",
            "--prefix",
            "--tail=20",
        ],
        &["describe", "pods", "-n", super::NAMESPACE],
    ];
    let mut story = String::new();
    for question in questions {
        let answer = kubectl(question).unwrap_or_else(|error| format!("{error:#}"));
        let lines: Vec<&str> = answer.lines().collect();
        let end = lines[lines.len().saturating_sub(LINES)..].join("\n");
        story += &format!("--- kubectl {}\n{end}\n", question.join(" "));
    }
    story
}
