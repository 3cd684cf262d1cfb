//! Checks whether a function's role may do what the tracking needs of it, as IAM's policy simulator decides.
//!
//! The simulator knows the role's policies, its permissions boundary and the organization's service control policies. For a role it
//! evaluates no policy of a resource, and of a condition only what it is given (IAM API Reference, `SimulatePrincipalPolicy`).

use aws_sdk_iam::types::{ContextEntry, ContextKeyTypeEnum, EvaluationResult, PolicyEvaluationDecisionType};
use futures_util::future::try_join_all;

use super::super::aws::Aws;
use super::super::check::{Check, Fix, described};
use super::super::commands::{Commands, quoted};
use super::super::function::Function;
use super::super::subject::Subject;
use super::outcomes::Outcomes;
use super::table::INDEXES;
use crate::text::counted;
use flexorch_s3_ingester::model::arn::Arn;

/// Actions on a resource, which is named by its ARN.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Need {
    pub(super) actions: &'static [&'static str],
    pub(super) resource: String,
}

/// Lists what the outcomes function needs. Of the secrets, only those are listed whose whole ARN is known: a policy names them by it.
pub(super) fn needs_of(outcomes: &Outcomes, queue: &str, subject: &Subject, signing_secret: Option<&str>) -> Vec<Need> {
    let Ok(config) = &outcomes.config else { return Vec::new() };
    let need = |actions, resource: &str| Need { actions, resource: resource.to_owned() };
    let table = outcomes.function.sibling("dynamodb", "table/", &config.records_table);
    let mut needs = vec![
        need(&["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"], queue),
        need(&["dynamodb:GetItem", "dynamodb:PutItem"], &table),
        need(&["events:PutEvents"], &outcomes.function.sibling("events", "event-bus/", &config.event_bus)),
    ];
    needs.extend(INDEXES.map(|(index, _)| need(&["dynamodb:Query"], &format!("{table}/index/{index}"))));
    let secrets = [subject.secret_arn.as_deref(), signing_secret].into_iter().flatten();
    needs.extend(secrets.map(|secret| need(&["secretsmanager:GetSecretValue"], secret)));
    needs
}

impl Function {
    /// Returns the ARN of a resource of the function's region and account, which is named by its name or already by its ARN.
    fn sibling(&self, service: &str, kind: &str, name: &str) -> String {
        match (Arn::parse(name), Arn::parse(&self.arn)) {
            (Err(_), Ok(Arn { partition, region: Some(region), account: Some(account), .. })) => {
                format!("arn:{partition}:{service}:{region}:{account}:{kind}{name}")
            }
            _ => name.to_owned(),
        }
    }
}

/// Asks the simulator whether the function's role may do what it needs to. What IAM does not decide is a warning: the other checks see
/// whether receipts and documents wait, and many operators may not ask IAM.
pub(super) async fn check(
    check: &'static str,
    aws: &Aws<'_>,
    function: &Function,
    needs: &[Need],
    commands: &Commands,
) -> Check {
    let client = &aws_sdk_iam::Client::new(&aws.config(function.region()));
    let simulated = needs.iter().map(|need| async move {
        // What a call from the function's code has (Lambda Developer Guide, "Using source function ARN to control function access behavior").
        let caller = ContextEntry::builder()
            .context_key_name("lambda:SourceFunctionArn")
            .context_key_type(ContextKeyTypeEnum::String)
            .context_key_values(&function.arn)
            .build();
        let request = client
            .simulate_principal_policy()
            .policy_source_arn(&function.role)
            .set_action_names(Some(need.actions.iter().map(|action| (*action).to_owned()).collect()))
            .resource_arns(&need.resource)
            .context_entries(caller)
            .send();
        let answer = aws.call("iam:SimulatePrincipalPolicy", &function.role, request).await?;
        Ok((need, answer.evaluation_results.unwrap_or_default()))
    });
    match try_join_all(simulated).await {
        Ok(results) => decide(check, function, &results, commands),
        Err(failure) => Check::warning(
            check,
            format!("not known, because IAM did not simulate it: {}", described(&failure)),
            Fix::new(failure.hint(), commands.aws("sts get-caller-identity")),
        ),
    }
}

fn decide(
    check: &'static str,
    function: &Function,
    results: &[(&Need, Vec<EvaluationResult>)],
    commands: &Commands,
) -> Check {
    let role = function.role.rsplit('/').next().unwrap_or_default();
    let (mut denied, mut unclear, mut first) = (Vec::new(), Vec::new(), None);
    for (need, results) in results {
        for result in results.iter().filter(|result| result.eval_decision != PolicyEvaluationDecisionType::Allowed) {
            let action = result.eval_action_name();
            first = first.or(Some((action, &need.resource)));
            let what = format!("{action} on {}", need.resource);
            if depends_on_conditions(result) { unclear.push(what) } else { denied.push(what) }
        }
    }
    let Some((action, resource)) = first else {
        let number: usize = results.iter().map(|(_, results)| results.len()).sum();
        return Check::well(check, format!("{role} allows what it needs ({})", counted(number, "action")));
    };
    let show = commands.aws(format_args!(
        "iam simulate-principal-policy --policy-source-arn {} --action-names {action} --resource-arns {}",
        quoted(&function.role),
        quoted(resource)
    ));
    if denied.is_empty() {
        let found = format!("{role}: conditions that only a call can meet decide {}", unclear.join(", "));
        return Check::warning(check, found, Fix::new("check the conditions; to show them", show));
    }
    let action = "allow it in the role, unless the resource's own policy does, which IAM's simulator does not see; to show what decides";
    Check::failed(
        check,
        format!("{role} does not allow {}", denied.join(", ")),
        Fix::new(function.owner.advice(action, None), show),
    )
}

/// Returns whether a condition was evaluated without its value. Keys of other services belong to other actions' statements.
fn depends_on_conditions(result: &EvaluationResult) -> bool {
    let service = result.eval_action_name().split(':').next().unwrap_or_default();
    let of_resources = result.resource_specific_results().iter().flat_map(|found| found.missing_context_values());
    let mut missing = result.missing_context_values().iter().chain(of_resources);
    missing.any(|key| key.split(':').next().is_some_and(|prefix| ["aws", service].contains(&prefix)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::check::Status;

    fn simulated(decision: PolicyEvaluationDecisionType, missing: &[&str]) -> Check {
        let result = EvaluationResult::builder().eval_action_name("sqs:SendMessage").eval_decision(decision);
        let missing = missing.iter().map(|key| (*key).to_owned()).collect();
        let result = result.set_missing_context_values(Some(missing)).build().unwrap();
        let mut function = Function::with_settings(&[]);
        function.role = "arn:aws:iam::123456789012:role/teams/ingest".into();
        let need = Need { actions: &["sqs:SendMessage"], resource: "arn:aws:sqs:eu-west-1:123456789012:r".into() };
        decide("x", &function, &[(&need, vec![result])], &Commands::default())
    }

    #[test]
    fn what_is_denied_fails_and_what_a_condition_decides_is_not_known() {
        use PolicyEvaluationDecisionType::{Allowed, ExplicitDeny, ImplicitDeny};
        assert_eq!(simulated(Allowed, &["aws:SourceVpc"]).status(), Status::Well);
        let denied = simulated(ImplicitDeny, &["kms:ViaService"]);
        assert_eq!(denied.status(), Status::Failed);
        assert_eq!(denied.found, "ingest does not allow sqs:SendMessage on arn:aws:sqs:eu-west-1:123456789012:r");
        assert!(denied.command.unwrap().ends_with("--resource-arns arn:aws:sqs:eu-west-1:123456789012:r"));
        assert_eq!(simulated(ExplicitDeny, &[]).status(), Status::Failed);
        for decision in [ImplicitDeny, ExplicitDeny] {
            assert_eq!(simulated(decision, &["aws:SourceVpc"]).status(), Status::Warning);
        }
    }

    #[test]
    fn a_resource_is_named_by_its_name_or_its_arn() {
        let function = Function::with_settings(&[]);
        let arn = "arn:aws:dynamodb:eu-west-1:123456789012:table/records";
        assert_eq!(function.sibling("dynamodb", "table/", "records"), arn);
        assert_eq!(function.sibling("dynamodb", "table/", arn), arn);
    }
}
