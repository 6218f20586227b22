//! The product's database from outside: how far an act has got, and the lock that keeps the product from
//! getting further.

use std::path::PathBuf;
use std::time::Duration;
use std::time::Instant;

use serde::Serialize;
use sqlx::AnyConnection;
use sqlx::Connection;
use sqlx::Row;

use crate::campaign::table::Act;

/// Where the rows are: SQLite's file.
#[derive(Clone, Debug)]
pub struct Database {
    pub path: PathBuf,
}

/// How far an act has got, by what is committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Nothing is committed.
    Nothing,
    /// The intent is; no call was begun.
    Intent,
    /// A call was begun, and its answer is not known.
    Calling,
    /// AWS's answer is.
    Answered,
    /// How it ended is.
    Ended,
}

/// What stands in the database about an act.
#[derive(Clone, Debug)]
pub struct Standing {
    pub step: Step,
    /// The operation or the gate.
    pub id: String,
    /// Its state's word.
    pub state: String,
}

impl Database {
    /// As the product is told.
    pub fn url(&self) -> String {
        format!("sqlite:{}", self.path.display())
    }

    async fn connect(&self) -> AnyConnection {
        sqlx::any::install_default_drivers();
        let connection = AnyConnection::connect(&self.url()).await;
        connection.unwrap_or_else(|error| panic!("{}: {error}", self.url()))
    }

    /// A connection that only looks.
    pub async fn eye(&self) -> Eye {
        Eye {
            connection: self.connect().await,
        }
    }

    /// Takes the lock that every writer needs.
    pub async fn lock(&self) -> Lock {
        let mut connection = self.connect().await;
        run(&mut connection, "pragma busy_timeout = 0").await;
        let begun = Instant::now();
        while sqlx::raw_sql("begin immediate")
            .execute(&mut connection)
            .await
            .is_err()
        {
            assert!(
                begun.elapsed() < Duration::from_secs(20),
                "the lock is never free"
            );
            tokio::task::yield_now().await;
        }
        Lock { connection }
    }
}

async fn run(connection: &mut AnyConnection, sql: &str) {
    let done = sqlx::raw_sql(sql).execute(connection).await;
    done.unwrap_or_else(|error| panic!("{sql}: {error}"));
}

/// The lock, held.
pub struct Lock {
    connection: AnyConnection,
}

impl Lock {
    /// Gives it back.
    pub async fn release(mut self) {
        run(&mut self.connection, "rollback").await;
        self.connection
            .close()
            .await
            .expect("the connection closes");
    }
}

/// A connection that only looks.
pub struct Eye {
    connection: AnyConnection,
}

impl Eye {
    /// How far the act on this service has got.
    pub async fn standing(&mut self, act: Act, service: &str) -> Standing {
        // A rejection asked for as a rollback is delivered as its gate's verdict.
        if act.is_operation() && act != Act::RejectAsRollback {
            self.operation(service).await
        } else {
            self.gate(service).await
        }
    }

    /// How far the operation on this service has got.
    pub async fn operation(&mut self, service: &str) -> Standing {
        let rows = sqlx::query(
            "select o.id, o.state from operations o join services s on s.id = o.service_id \
             where s.name = $1",
        )
        .bind(service)
        .fetch_all(&mut self.connection)
        .await
        .unwrap_or_else(|error| panic!("reading the operations: {error}"));
        assert!(
            rows.len() <= 1,
            "a second operation slipped in at {service}"
        );
        let Some(row) = rows.first() else {
            return Standing {
                step: Step::Nothing,
                id: String::new(),
                state: String::new(),
            };
        };
        let state: String = row.get(1);
        let step = match state.as_str() {
            "intended" => Step::Intent,
            "calling" | "unknown" => Step::Calling,
            "submitted" => Step::Answered,
            "done" | "failed" => Step::Ended,
            other => panic!("an operation is {other}"),
        };
        Standing {
            step,
            id: row.get(0),
            state,
        }
    }

    async fn gate(&mut self, service: &str) -> Standing {
        let rows = sqlx::query(
            "select g.id, g.state, g.delivery, g.delivery_attempts from gates g \
             join deployments d on d.id = g.deployment_id where d.service_name = $1",
        )
        .bind(service)
        .fetch_all(&mut self.connection)
        .await
        .unwrap_or_else(|error| panic!("reading the gates: {error}"));
        assert_eq!(rows.len(), 1, "gates at {service}");
        let row = &rows[0];
        let delivery: Option<String> = row.get(2);
        let attempts: i64 = row.get(3);
        let step = match delivery.as_deref() {
            None => Step::Nothing,
            Some("recorded") if attempts == 0 => Step::Intent,
            Some("recorded") => Step::Calling,
            Some("sent") => Step::Answered,
            Some("confirmed" | "failed") => Step::Ended,
            Some(other) => panic!("a delivery is {other}"),
        };
        Standing {
            step,
            id: row.get(0),
            state: row.get(1),
        }
    }

    /// The execution id that the gate's hook came with.
    pub async fn hook_execution(&mut self, gate: &str) -> String {
        let row = sqlx::query("select wait from gates where id = $1")
            .bind(gate)
            .fetch_one(&mut self.connection)
            .await;
        row.unwrap_or_else(|error| panic!("reading the gate {gate}: {error}"))
            .get(0)
    }

    /// How often so many hooks, gates, decisions and operations are recorded of a service's deployments.
    pub async fn counts(&mut self, service: &str) -> [i64; 3] {
        let mut counts = [0; 3];
        for (count, sql) in counts.iter_mut().zip([
            "select count(*) from gates g join deployments d on d.id = g.deployment_id \
             where d.service_name = $1",
            "select count(*) from decisions c join gates g on g.id = c.gate_id \
             join deployments d on d.id = g.deployment_id where d.service_name = $1",
            "select count(*) from operations o join services s on s.id = o.service_id where s.name = $1",
        ]) {
            let row = sqlx::query(sql)
                .bind(service)
                .fetch_one(&mut self.connection)
                .await;
            *count = row.unwrap_or_else(|error| panic!("{sql}: {error}")).get(0);
        }
        counts
    }
}
