//! Certificates of seconds instead of months: they are renewed while everything goes on.
//!
//! A file, hence a process, of its own: it listens to what all nodes log.

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fmt::Debug;
    use std::net::IpAddr;
    use std::path::Path;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::{Duration, Instant};

    use model::SwarmSpec;
    use node::testing::{Lab, PATIENCE, SwarmIdentity};
    use tracing::field::{Field, Visit};
    use tracing_subscriber::layer::{Context, SubscriberExt};

    /// How long a certificate lives: renewed after 3 to 4.8 s.
    const LIFE: Duration = Duration::from_secs(6);

    /// Counts the sessions that agents open.
    #[derive(Clone, Default)]
    struct Sessions(Arc<AtomicUsize>);

    impl Sessions {
        fn opened(&self) -> usize {
            self.0.load(Ordering::SeqCst)
        }
    }

    impl<S: tracing::Subscriber> tracing_subscriber::Layer<S> for Sessions {
        fn on_event(&self, event: &tracing::Event<'_>, _context: Context<'_, S>) {
            event.record(&mut self.clone());
        }
    }

    impl Visit for Sessions {
        fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
            if field.name() == "message" && format!("{value:?}") == "session opened" {
                self.0.fetch_add(1, Ordering::SeqCst);
            }
        }
    }

    /// The certificate that a node has kept last.
    fn certificate(data_dir: &Path) -> String {
        let kept = std::fs::read_to_string(data_dir.join("swarm/identity.json")).unwrap();
        let kept: serde_json::Value = serde_json::from_str(&kept).unwrap();
        kept["certificate"].as_str().unwrap().to_owned()
    }

    #[tokio::test]
    async fn certificates_are_renewed_without_a_restart_and_without_a_lost_session() {
        let sessions = Sessions::default();
        let filter = tracing_subscriber::filter::LevelFilter::INFO;
        tracing::subscriber::set_global_default(tracing_subscriber::registry().with(filter).with(sessions.clone()))
            .unwrap();
        let mut lab = Lab::new();
        let addrs: Vec<IpAddr> = (0..4).map(|_| lab.add()).collect();
        let mut spec = SwarmSpec::default();
        spec.ca_config.node_cert_expiry = i64::try_from(LIFE.as_nanos()).unwrap();
        let identity = SwarmIdentity::generate_with(&addrs, 3, spec);
        for (node, bootstrap) in lab.nodes.iter_mut().zip(&identity.bootstraps) {
            node.put_bootstrap(bootstrap);
            node.start();
        }
        let read = lab.settled(0, 3, 1).await;
        // The swarm calls a node ready when it hears from it, a moment before the node has its answer.
        let begun = Instant::now();
        while lab.nodes.iter().any(|node| !node.view().error.is_empty()) {
            assert!(begun.elapsed() < PATIENCE, "a ready node has no session");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let opened = sessions.opened();
        assert!(opened >= 4, "{opened} sessions for four nodes: the log says something else now");

        // The first key, its replacement, and two renewals: by then the replacement has expired.
        let mut seen: Vec<BTreeSet<String>> = vec![BTreeSet::new(); 4];
        let start = Instant::now();
        while seen.iter().any(|certificates| certificates.len() < 4) {
            assert!(
                start.elapsed() < PATIENCE,
                "not renewed: {:?}",
                seen.iter().map(BTreeSet::len).collect::<Vec<_>>()
            );
            for (node, certificates) in lab.nodes.iter().zip(&mut seen) {
                certificates.insert(certificate(&node.data_dir()));
                assert_eq!(node.view().error, "", "{}", node.hostname);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }

        assert_eq!(sessions.opened(), opened, "a session was lost");
        let after = lab.settled(2, 3, 1).await;
        assert_eq!(after.nodes.keys().collect::<Vec<_>>(), read.nodes.keys().collect::<Vec<_>>());

        // Who connects now meets the renewed certificates only.
        let token = ca::JoinToken::new(&read.cluster.state.root_ca.roots[0], &read.cluster.state.join_secrets.worker);
        let joiner = lab.add_started();
        lab.nodes[joiner].join(lab.nodes[0].addr, &token.unwrap().to_string()).await.unwrap();
        lab.settled(1, 3, 2).await;
    }
}
