//! ECS's own strategies: BLUE_GREEN, LINEAR and CANARY, stage by stage.
//!
//! ```text
//! (RECONCILE_SERVICE) > PRE_SCALE_UP > SCALE_UP > POST_SCALE_UP > TEST_TRAFFIC_SHIFT > POST_TEST_TRAFFIC_SHIFT
//!     > [PRE_PRODUCTION_TRAFFIC_SHIFT > PRODUCTION_TRAFFIC_SHIFT > step bake]… > POST_PRODUCTION_TRAFFIC_SHIFT
//!     > BAKE_TIME > CLEAN_UP
//! ```
//!
//! * The stages and their order: \[M\] ServiceDeploymentLifecycleStage; RECONCILE_SERVICE only with more than
//!   one active revision: \[M\].
//! * LINEAR and CANARY run PRE_PRODUCTION_ and PRODUCTION_TRAFFIC_SHIFT hooks at every step, and a rollback runs
//!   those of TEST_TRAFFIC_SHIFT and PRODUCTION_TRAFFIC_SHIFT again: \[D\]. The bake of a step is not applied at 100 %: \[M\].
//! * A stage lasts at most 24 h (a pause longer: its own fuse decides), a deployment 30 days: \[D\]
//!   blue-green-deployment-how-it-works.
//! * The circuit breaker rolls back these strategies too: \[O\]; alarms as in the rolling strategy: \[D\].
//! * Without Service Connect and load balancers a service may use them all the same: \[D\].
//! * Our choice: a stage with nothing to do takes 2 s; PRE_PRODUCTION_TRAFFIC_SHIFT, which the enumeration of
//!   `lifecycleStage` lacks, shows the stage before it; RECONCILE_SERVICE gives the traffic to the last completed
//!   revision and lets the others go; hooks of a shift begin after the weights moved; a rollback moves
//!   production before test traffic, and fails (ROLLBACK_FAILED) when one of its hooks does; a stop that is
//!   requested during CLEAN_UP changes nothing.

mod hooks;
mod traffic;

use self::hooks::HookRun;
use self::traffic::{Route, behind_green};
use super::deployment_configuration::Strategy;
use super::rolling::Failure;
use super::service_deployments::{Part, ServiceDeployment, Status};
use super::{Service, TaskState, UnitStatus};
use crate::value::Value;
use crate::world::region::Region;

const STAGE_MS: i64 = 2_000;
const STAGE_LIMIT_MS: i64 = 24 * 3_600_000;
const LIMIT_MS: i64 = 30 * 24 * 3_600_000;
const MINUTE_MS: i64 = 60_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Reconcile,
    PreScaleUp,
    ScaleUp,
    PostScaleUp,
    TestShift,
    PostTestShift,
    PreProductionShift,
    ProductionShift,
    PostProductionShift,
    Bake,
    CleanUp,
}

impl Stage {
    /// As hooks name it.
    fn name(self) -> &'static str {
        match self {
            Stage::Reconcile => "RECONCILE_SERVICE",
            Stage::PreScaleUp => "PRE_SCALE_UP",
            Stage::ScaleUp => "SCALE_UP",
            Stage::PostScaleUp => "POST_SCALE_UP",
            Stage::TestShift => "TEST_TRAFFIC_SHIFT",
            Stage::PostTestShift => "POST_TEST_TRAFFIC_SHIFT",
            Stage::PreProductionShift => "PRE_PRODUCTION_TRAFFIC_SHIFT",
            Stage::ProductionShift => "PRODUCTION_TRAFFIC_SHIFT",
            Stage::PostProductionShift => "POST_PRODUCTION_TRAFFIC_SHIFT",
            Stage::Bake => "BAKE_TIME",
            Stage::CleanUp => "CLEAN_UP",
        }
    }
}

/// The course of one deployment through its stages.
pub(crate) struct NativeRun {
    stage: Option<Stage>,
    /// What `lifecycleStage` says.
    shown: Option<&'static str>,
    /// How many production shifts are done or under way.
    step: usize,
    /// The stage has no business of its own before this.
    due: Option<i64>,
    /// The stage has failed by then.
    deadline: Option<i64>,
    /// The whole deployment has failed by then.
    last: i64,
    back: bool,
    production_moved: bool,
    test_moved: bool,
    blue: Option<String>,
    routes: Vec<Route>,
    /// Of this stage, or of the last that had any.
    hooks: Vec<HookRun>,
    /// Whether the hooks are this stage's.
    hooks_count: bool,
}

impl NativeRun {
    pub(super) fn new(now: i64) -> NativeRun {
        NativeRun {
            stage: None,
            shown: None,
            step: 0,
            due: None,
            deadline: None,
            last: now + LIMIT_MS,
            back: false,
            production_moved: false,
            test_moved: false,
            blue: None,
            routes: Vec::new(),
            hooks: Vec::new(),
            hooks_count: false,
        }
    }

    /// When it moves by itself.
    pub(super) fn next_due(&self) -> impl Iterator<Item = i64> {
        let hooks = self.hooks.iter().flat_map(HookRun::next_due);
        let own = [self.due, self.deadline, Some(self.last)];
        let times = own.into_iter().flatten().chain(hooks);
        times.filter(|_| self.stage.is_some())
    }

    pub(super) fn stage_name(&self) -> Option<&'static str> {
        self.shown
    }

    pub(super) fn hook_details(&self) -> Vec<Value> {
        self.hooks.iter().map(HookRun::value).collect()
    }

    /// The hooks that are not over, for the control page.
    pub(super) fn waiting_hooks(&self) -> Vec<Value> {
        let open = self.hooks.iter().filter(|hook| hook.is_open());
        open.map(HookRun::report).collect()
    }

    /// ContinueServiceDeployment; false if no such hook waits.
    pub(super) fn answer_pause(&mut self, id: &str, rolls_back: bool) -> bool {
        self.hooks.iter_mut().any(|hook| hook.act(id, rolls_back))
    }

    pub(super) fn end(&mut self) {
        (self.stage, self.due, self.deadline) = (None, None, None);
        self.drop_open_hooks();
    }

    /// Nobody waits any more for hooks that are open.
    fn drop_open_hooks(&mut self) {
        self.hooks.retain(|hook| !hook.is_open());
    }

    /// Whether nothing can be rolled back any more, because blue is going.
    pub(super) fn is_cleaning_up(&self) -> bool {
        self.stage == Some(Stage::CleanUp) && !self.back
    }
}

/// How much of the production traffic green has after each shift, and how long each lasts.
fn steps(configuration: &Value) -> Vec<(f64, i64)> {
    match Strategy::of(configuration) {
        Strategy::Linear => {
            let linear = configuration.get("linearConfiguration");
            let percent = linear.get("stepPercent").as_f64().unwrap_or(10.0);
            let minutes = linear.get("stepBakeTimeInMinutes").as_i64().unwrap_or(6);
            let mut steps = Vec::new();
            let mut tenths = (percent * 10.0).round() as i64;
            let step = tenths.max(1);
            while tenths < 1000 {
                steps.push((tenths as f64 / 10.0, minutes * MINUTE_MS));
                tenths += step;
            }
            steps.push((100.0, 0));
            steps
        }
        Strategy::Canary => {
            let canary = configuration.get("canaryConfiguration");
            let percent = canary.get("canaryPercent").as_f64().unwrap_or(5.0);
            let minutes = canary.get("canaryBakeTimeInMinutes").as_i64().unwrap_or(10);
            if percent < 100.0 {
                vec![(percent, minutes * MINUTE_MS), (100.0, 0)]
            } else {
                vec![(100.0, 0)]
            }
        }
        _ => vec![(100.0, 0)],
    }
}

impl Region {
    /// The deployment begins its first stage.
    pub(super) fn start_native(&mut self, service: &mut Service, one: &mut ServiceDeployment) {
        let mut run = NativeRun::new(self.now);
        let target = one.target.unit.clone();
        run.blue = service.rollback_candidate_id(&target);
        let others = service
            .units
            .iter()
            .filter(|unit| unit.id != target && service.lives(&unit.id))
            .count();
        let first = if others > 1 {
            Stage::Reconcile
        } else {
            Stage::PreScaleUp
        };
        let whole = if run.blue.is_some() { 100.0 } else { 0.0 };
        for part in &mut one.sources {
            let is_blue = Some(&part.unit) == run.blue.as_ref();
            part.production = Some(if is_blue { whole } else { 0.0 });
        }
        one.target.production = Some(0.0);
        run.routes = self.routes_of(service, run.blue.as_deref());
        if run.routes.iter().any(Route::has_test) {
            one.target.test = Some(0.0);
            for part in &mut one.sources {
                part.test = part.production;
            }
        }
        self.enter(service, one, &mut run, first);
        one.native = Some(run);
    }

    /// Moves through the stages as far as it goes now.
    pub(super) fn advance_native(
        &mut self,
        service: &mut Service,
        one: &mut ServiceDeployment,
    ) -> bool {
        let Some(mut run) = one.native.take() else {
            return false;
        };
        let moved = self.advance_stage(service, one, &mut run);
        if one.status.is_terminal() {
            run.end();
        }
        one.native = Some(run);
        moved
    }

    fn advance_stage(
        &mut self,
        service: &mut Service,
        one: &mut ServiceDeployment,
        run: &mut NativeRun,
    ) -> bool {
        let now = self.now;
        if one.status == Status::RollbackInProgress && !run.back {
            run.back = true;
            run.drop_open_hooks();
            let first = self.next_back(run, None);
            self.enter(service, one, run, first);
            return true;
        }
        let Some(stage) = run.stage else {
            return false;
        };
        let (moved, outcome) = if run.hooks_count {
            self.step_hooks(service, one, &mut run.hooks)
        } else {
            (false, Ok(true))
        };
        let passed = match outcome {
            Ok(passed) => passed,
            Err(reason) => {
                self.fail_stage(service, one, run, reason);
                return true;
            }
        };
        let late = run.deadline.is_some_and(|at| at <= now);
        if late || run.last <= now {
            let reason = format!(
                "Service deployment rolled back because the {} lifecycle stage timed out.",
                stage.name()
            );
            self.fail_stage(service, one, run, reason);
            return true;
        }
        let due = run.due.is_none_or(|at| at <= now);
        if !(passed && due && self.stage_is_done(service, one, stage)) {
            return moved;
        }
        if run.back {
            if stage == Stage::CleanUp {
                let primary = service.primary().map(|unit| unit.id.clone());
                self.complete_deployment(service, one, &primary.unwrap_or_default());
            } else {
                let next = self.next_back(run, Some(stage));
                self.enter(service, one, run, next);
            }
            return true;
        }
        let all = steps(&one.configuration).len();
        let next = match stage {
            Stage::Reconcile => Stage::PreScaleUp,
            Stage::PreScaleUp => Stage::ScaleUp,
            Stage::ScaleUp => Stage::PostScaleUp,
            Stage::PostScaleUp => Stage::TestShift,
            Stage::TestShift => Stage::PostTestShift,
            Stage::PostTestShift => Stage::PreProductionShift,
            Stage::PreProductionShift => Stage::ProductionShift,
            Stage::ProductionShift if run.step < all => Stage::PreProductionShift,
            Stage::ProductionShift => Stage::PostProductionShift,
            Stage::PostProductionShift => Stage::Bake,
            Stage::Bake => Stage::CleanUp,
            Stage::CleanUp => {
                let target = one.target.unit.clone();
                self.complete_deployment(service, one, &target);
                return true;
            }
        };
        self.enter(service, one, run, next);
        true
    }

    /// What a rollback does after this.
    fn next_back(&self, run: &NativeRun, after: Option<Stage>) -> Stage {
        match after {
            None if run.production_moved => Stage::ProductionShift,
            None | Some(Stage::ProductionShift) if run.test_moved => Stage::TestShift,
            _ => Stage::CleanUp,
        }
    }

    fn stage_is_done(&self, service: &Service, one: &ServiceDeployment, stage: Stage) -> bool {
        let target = &one.target.unit;
        match stage {
            Stage::ScaleUp => self.healthy_tasks(service, target) >= service.desired,
            Stage::Reconcile | Stage::CleanUp => {
                let leaving = |unit: &str| {
                    service
                        .unit(unit)
                        .is_none_or(|unit| unit.status == UnitStatus::Draining)
                };
                service
                    .tasks
                    .iter()
                    .all(|task| task.state == TaskState::Stopped || !leaving(&task.unit))
            }
            _ => true,
        }
    }

    /// Enters a stage: does its business, and begins its hooks.
    fn enter(
        &mut self,
        service: &mut Service,
        one: &mut ServiceDeployment,
        run: &mut NativeRun,
        stage: Stage,
    ) {
        let now = self.now;
        run.stage = Some(stage);
        if stage != Stage::PreProductionShift {
            run.shown = Some(stage.name());
        }
        run.due = Some(now + STAGE_MS);
        run.deadline = (stage != Stage::CleanUp).then_some(now + STAGE_LIMIT_MS);
        if let Some(reason) = self.do_stage(service, one, run, stage) {
            self.fail_stage(service, one, run, reason);
            return;
        }
        let hooks = self.new_hook_runs(one, stage.name());
        run.hooks_count = !hooks.is_empty();
        if run.hooks_count {
            // A pause has a fuse of its own, which may be longer than a stage may last. Our choice: the rest of the
            // stage has its 24 hours after it.
            let fuses = hooks.iter().filter_map(HookRun::pause_ends);
            let fuse = fuses.max().map(|at| at + STAGE_LIMIT_MS);
            run.deadline = run.deadline.max(fuse);
            run.hooks = hooks;
        }
    }

    /// The business of a stage; why it failed, if it did.
    fn do_stage(
        &mut self,
        service: &mut Service,
        one: &mut ServiceDeployment,
        run: &mut NativeRun,
        stage: Stage,
    ) -> Option<String> {
        let now = self.now;
        let gone = || {
            Some(
                "Service deployment rolled back because of invalid networking configuration. One or more rules not found"
                    .to_string(),
            )
        };
        match stage {
            Stage::Reconcile => {
                let stay = [Some(one.target.unit.clone()), run.blue.clone()];
                release(service, now, |unit| {
                    !stay.iter().flatten().any(|id| id == unit)
                });
                let there = self.shift_production(&run.routes, 0.0);
                if !(there && self.shift_test(&run.routes, false)) {
                    return gone();
                }
            }
            Stage::PreScaleUp => {
                if let Some(fault) = self.network_fault(&run.routes) {
                    return Some(fault);
                }
                let resolved = run.routes.iter().map(Route::resolved).collect();
                let balancers = behind_green(&service.load_balancers, &run.routes);
                if let Some(unit) = service.unit_mut(&one.target.unit)
                    && !run.routes.is_empty()
                {
                    unit.load_balancers = balancers;
                }
                let arn = &one.target.revision;
                let mut revisions = service.revisions.iter_mut();
                if let Some(revision) = revisions.find(|own| own.arn == *arn) {
                    revision.resolved = resolved;
                }
            }
            Stage::ScaleUp => {
                if let Some(unit) = service.unit_mut(&one.target.unit) {
                    unit.held = false;
                }
            }
            Stage::TestShift if run.routes.iter().any(Route::has_test) => {
                if !self.shift_test(&run.routes, !run.back) {
                    return gone();
                }
                run.test_moved = true;
                let share = if run.back { 0.0 } else { 100.0 };
                set_share(one, run.blue.as_deref(), share, |part| &mut part.test);
            }
            Stage::ProductionShift => {
                let (percent, wait) = if run.back {
                    (0.0, 0)
                } else {
                    let (percent, wait) = steps(&one.configuration)
                        .get(run.step)
                        .copied()
                        .unwrap_or((100.0, 0));
                    run.step += 1;
                    (percent, wait)
                };
                if !self.shift_production(&run.routes, percent) {
                    return gone();
                }
                run.production_moved = true;
                run.due = Some(now + wait.max(STAGE_MS));
                set_share(one, run.blue.as_deref(), percent, |part| {
                    &mut part.production
                });
            }
            Stage::Bake => {
                let minutes = one.configuration.get("bakeTimeInMinutes").as_i64();
                let bake = minutes.unwrap_or_default() * MINUTE_MS;
                run.due = Some(now + bake.max(STAGE_MS));
            }
            Stage::CleanUp => {
                let stays = if run.back {
                    run.blue.clone()
                } else {
                    Some(one.target.unit.clone())
                };
                release(service, now, |unit| Some(unit) != stays.as_deref());
            }
            _ => {}
        }
        None
    }

    fn fail_stage(
        &mut self,
        service: &mut Service,
        one: &mut ServiceDeployment,
        run: &mut NativeRun,
        reason: String,
    ) {
        let now = self.now;
        if run.back {
            one.reason = Some(reason.replacen("rolled back", "rollback failed", 1));
            one.end(service, Status::RollbackFailed, now);
            return;
        }
        run.stage = None;
        self.fail_deployment(service, one, &Failure::Stage(reason));
    }

    /// How many tasks each revision of a service may have: as many as wanted, from when it is started until
    /// it is released.
    pub(super) fn plan_native(&mut self, service: &mut Service) -> bool {
        let desired = service.desired;
        let mut moved = false;
        let present: Vec<i64> = service
            .units
            .iter()
            .map(|unit| {
                let (running, pending) = service.counts(&unit.id);
                running + pending
            })
            .collect();
        for (unit, present) in service.units.iter_mut().zip(present) {
            let wanted = if unit.held {
                0
            } else if unit.rollout_state() == Some("FAILED") {
                // What failed starts no more tasks.
                unit.rolling_wanted.min(present)
            } else {
                desired
            };
            moved |= wanted != unit.rolling_wanted;
            unit.rolling_wanted = wanted;
        }
        let before = service.units.len();
        let Service { units, tasks, .. } = service;
        units.retain(|unit| {
            let lives = tasks
                .iter()
                .any(|task| task.unit == unit.id && !task.stopping());
            let idle = unit.status == UnitStatus::Active
                && (unit.held || unit.rollout_state() == Some("FAILED"));
            lives || !idle
        });
        moved || units.len() != before
    }
}

/// Lets units go: their tasks stop.
fn release(service: &mut Service, now: i64, goes: impl Fn(&str) -> bool) {
    for unit in &mut service.units {
        if goes(&unit.id) && unit.status != UnitStatus::Primary {
            unit.status = UnitStatus::Draining;
            unit.updated_at = now;
        }
    }
}

/// Notes how the traffic is shared between blue and green.
fn set_share(
    one: &mut ServiceDeployment,
    blue: Option<&str>,
    green: f64,
    member: fn(&mut Part) -> &mut Option<f64>,
) {
    *member(&mut one.target) = Some(green);
    for part in &mut one.sources {
        let own = if Some(part.unit.as_str()) == blue {
            // Tenths of a percent, without what floating point adds to them.
            ((100.0 - green) * 10.0).round() / 10.0
        } else {
            0.0
        };
        *member(part) = Some(own);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_steps_of_each_strategy() {
        let shares = |configuration: Value| -> Vec<(f64, i64)> {
            steps(&configuration)
                .into_iter()
                .map(|(percent, ms)| (percent, ms / MINUTE_MS))
                .collect()
        };
        let linear = |percent: f64, minutes: i64| {
            structure! { "strategy": "LINEAR", "linearConfiguration": structure! {
            "stepPercent": percent, "stepBakeTimeInMinutes": minutes } }
        };
        let canary = |percent: f64, minutes: i64| {
            structure! { "strategy": "CANARY", "canaryConfiguration": structure! {
            "canaryPercent": percent, "canaryBakeTimeInMinutes": minutes } }
        };
        assert_eq!(
            shares(structure! { "strategy": "BLUE_GREEN" }),
            [(100.0, 0)]
        );
        assert_eq!(
            shares(linear(25.0, 3)),
            [(25.0, 3), (50.0, 3), (75.0, 3), (100.0, 0)]
        );
        assert_eq!(
            shares(linear(33.3, 1)),
            [(33.3, 1), (66.6, 1), (99.9, 1), (100.0, 0)]
        );
        assert_eq!(shares(linear(100.0, 9)), [(100.0, 0)]);
        assert_eq!(shares(linear(40.0, 0)), [(40.0, 0), (80.0, 0), (100.0, 0)]);
        assert_eq!(shares(canary(0.1, 10)), [(0.1, 10), (100.0, 0)]);
        assert_eq!(shares(canary(100.0, 10)), [(100.0, 0)]);
    }
}
