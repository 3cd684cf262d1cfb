//! Reads a variable of a deployed function.

use anyhow::{Result, anyhow};

use crate::aws_failure::AwsFailure;
use crate::context::Context;
use crate::region::in_region;
use crate::text::escaped;
use flexorch_s3_ingester::model::arn::region_of;

/// Returns a variable of a function, without white space around it; `None` if it is not set or empty. `instead` says what else to do if
/// Lambda does not return the variables.
///
/// # Errors
/// If the call fails, with the permission that it needs, or Lambda cannot decrypt the variables.
pub(crate) async fn read(function: &str, variable: &str, instead: &str, context: &Context) -> Result<Option<String>> {
    let lambda = aws_sdk_lambda::Client::new(&in_region(context.aws().await?, region_of(function)));
    let request = lambda.get_function_configuration().function_name(function).send();
    let found =
        request.await.map_err(|error| AwsFailure::new(&error, "lambda:GetFunctionConfiguration", escaped(function)))?;
    let environment = found.environment();
    if let Some(error) = environment.and_then(|environment| environment.error()) {
        let code = error.error_code().unwrap_or("no code");
        return Err(anyhow!(
            "Lambda does not return the variables of function {} ({code}): {instead}",
            escaped(function)
        ));
    }
    let value = environment.and_then(|environment| environment.variables()?.get(variable)).map(|value| value.trim());
    Ok(value.filter(|value| !value.is_empty()).map(str::to_owned))
}
