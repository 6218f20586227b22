//! The CodeDeploy operations on applications.

use std::collections::BTreeMap;

use super::Application;
use super::operations::{application_name, name, no_application, refuse, with_tags};
use crate::error::AwsError;
use crate::value::Value;
use crate::world::ids;
use crate::world::read::{text, texts};
use crate::world::region::Region;

/// Applications of an account in a region \[D\].
const APPLICATIONS: usize = 1000;

impl Region {
    pub(super) fn application(&self, name: &str) -> Result<&Application, AwsError> {
        self.codedeploy
            .applications
            .get(name)
            .ok_or_else(|| no_application(name))
    }

    pub(super) fn create_application(&mut self, input: &Value) -> Result<Value, AwsError> {
        let name = application_name(input)?.to_string();
        match text(input, "computePlatform") {
            Some("ECS") => {}
            other => {
                return Err(refuse(
                    "InvalidComputePlatform",
                    format!(
                        "Only the compute platform ECS is simulated, not {}",
                        other.unwrap_or("Server (the default)")
                    ),
                ));
            }
        }
        if self.codedeploy.applications.contains_key(&name) {
            return Err(refuse(
                "ApplicationAlreadyExists",
                format!("An application with name '{name}' already exists"),
            ));
        }
        if self.codedeploy.applications.len() >= APPLICATIONS {
            return Err(refuse(
                "ApplicationLimitExceeded",
                format!("An account has at most {APPLICATIONS} applications"),
            ));
        }
        let tags = with_tags(&BTreeMap::new(), input.get("tags"))?;
        let id = ids::uuid(&mut self.rng);
        let application = Application {
            id: id.clone(),
            created_at: self.now,
            tags,
            groups: BTreeMap::new(),
            revisions: BTreeMap::new(),
        };
        self.codedeploy.applications.insert(name, application);
        Ok(structure! { "applicationId": id })
    }

    pub(super) fn application_value(&self, name: &str) -> Result<Value, AwsError> {
        let application = self.application(name)?;
        Ok(structure! {
            "applicationId": application.id.as_str(),
            "applicationName": name,
            "createTime": Value::Time(application.created_at),
            "linkedToGitHub": false,
            "computePlatform": "ECS",
        })
    }

    pub(super) fn batch_get_applications(&self, input: &Value) -> Result<Value, AwsError> {
        let names = texts(input, "applicationNames");
        if names.is_empty() {
            return Err(refuse(
                "ApplicationNameRequired",
                "applicationNames must be specified",
            ));
        }
        if names.len() > 100 {
            return Err(refuse(
                "BatchLimitExceeded",
                "At most 100 applications can be asked for",
            ));
        }
        let infos = names
            .iter()
            .map(|name| self.application_value(name))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(structure! { "applicationsInfo": infos })
    }

    pub(super) fn update_application(&mut self, input: &Value) -> Result<Value, AwsError> {
        let old = application_name(input)?.to_string();
        self.application(&old)?;
        let new = name(
            input,
            "newApplicationName",
            "ApplicationNameRequired",
            "InvalidApplicationName",
        )?;
        if self.codedeploy.applications.contains_key(new) {
            return Err(refuse(
                "ApplicationAlreadyExists",
                format!("An application with name '{new}' already exists"),
            ));
        }
        if let Some(application) = self.codedeploy.applications.remove(&old) {
            self.codedeploy.groups_changed = true;
            self.codedeploy
                .applications
                .insert(new.to_string(), application);
        }
        for deployment in &mut self.codedeploy.deployments {
            if deployment.application == old {
                deployment.application = new.to_string();
            }
        }
        Ok(Value::map())
    }

    pub(super) fn delete_application(&mut self, input: &Value) -> Result<Value, AwsError> {
        let name = application_name(input)?;
        self.codedeploy.applications.remove(name);
        self.codedeploy.groups_changed = true;
        Ok(Value::map())
    }
}
