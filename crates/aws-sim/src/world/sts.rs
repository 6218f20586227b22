//! STS: who the caller is. \[M\] for the shape.

use super::Caller;
use crate::error::AwsError;
use crate::value::Value;

/// `GetCallerIdentity` is the only operation of the account itself; AssumeRole is the door's, which
/// keeps the session credentials it hands out.
pub(crate) fn call(caller: &Caller, operation: &str) -> Result<Value, AwsError> {
    match operation {
        "GetCallerIdentity" => {
            let user_id = caller
                .principal
                .rsplit('/')
                .next()
                .unwrap_or(&caller.principal);
            Ok(structure! {
                "UserId": format!("AIDASIMULATED:{user_id}"),
                "Account": caller.account.as_str(),
                "Arn": caller.principal.as_str(),
            })
        }
        _ => Err(AwsError::caller(
            "InvalidAction",
            format!("Could not find operation {operation} for version 2011-06-15"),
        )),
    }
}
