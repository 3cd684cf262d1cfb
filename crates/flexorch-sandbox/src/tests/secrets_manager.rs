//! The Secrets Manager endpoint, as an AWS client sees it.

use super::{
    super::secrets_manager::{SecretsFault, SecretsManager},
    *,
};

async fn call(manager: &SecretsManager, operation: &str, region: &str, body: Value) -> Received {
    let scope = format!("AKIDEXAMPLE/20260131/{region}/secretsmanager/aws4_request");
    let response = client()
        .post(manager.endpoint_url())
        .header("content-type", "application/x-amz-json-1.1")
        .header("x-amz-target", format!("secretsmanager.{operation}"))
        .header("authorization", format!("AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0"))
        .body(body.to_string())
        .send()
        .await
        .unwrap();
    Received {
        status: response.status().as_u16(),
        headers: response.headers().clone(),
        text: response.text().await.unwrap(),
    }
}

async fn get(manager: &SecretsManager, id: &str) -> Received {
    call(manager, "GetSecretValue", "eu-west-1", json!({"SecretId": id})).await
}

#[tokio::test]
async fn a_secret_is_read_by_name_and_arn_and_each_region_and_fetch_is_noted() {
    let manager = SecretsManager::start(0).await.unwrap();
    manager.put("docs", "one");
    manager.put("docs", "two");
    let by_name = get(&manager, "docs").await;
    assert_eq!(by_name.json()["SecretString"], "two");
    assert_eq!(by_name.json()["VersionStages"], json!(["AWSCURRENT"]));
    let arn = manager.arn("docs", "us-east-1");
    let body = json!({"SecretId": arn});
    let by_arn = call(&manager, "GetSecretValue", "us-east-1", body).await;
    assert_eq!(by_arn.json()["ARN"], arn);
    let elsewhere = get(&manager, &arn).await;
    assert_eq!(elsewhere.headers["x-amzn-errortype"], "ResourceNotFoundException");
    assert_eq!(manager.fetch_count("docs"), 2);
    let regions: Vec<String> = manager.calls().into_iter().map(|call| call.region).collect();
    assert_eq!(regions, ["eu-west-1", "us-east-1", "eu-west-1"]);
    manager.shutdown().await;
}

#[tokio::test]
async fn secrets_are_created_changed_and_described() {
    let manager = SecretsManager::start(0).await.unwrap();
    let create = || {
        let body = json!({"Name": "new", "SecretString": "one", "Tags": []});
        call(&manager, "CreateSecret", "eu-west-1", body)
    };
    assert_eq!(create().await.status, 200);
    let again = create().await;
    assert_eq!((again.status, &again.json()["__type"]), (400, &json!("ResourceExistsException")));
    let body = json!({"SecretId": "new", "SecretString": "two"});
    let put = call(&manager, "PutSecretValue", "eu-west-1", body).await.json();
    assert_eq!(get(&manager, "new").await.json()["VersionId"], put["VersionId"]);
    let body = json!({"SecretId": "new"});
    let described = call(&manager, "DescribeSecret", "eu-west-1", body).await.json();
    assert_eq!(described["VersionIdsToStages"].as_object().unwrap().len(), 2);
}

#[tokio::test]
async fn errors_have_the_shapes_that_the_sdks_read() {
    let manager = SecretsManager::start(0).await.unwrap();
    let missing = get(&manager, "nowhere").await;
    assert_eq!(
        (missing.status, missing.json()),
        (
            400,
            json!({"__type": "ResourceNotFoundException", "message": "Secrets Manager can't find the specified secret."})
        )
    );
    let unknown = call(&manager, "RotateSecret", "eu-west-1", json!({})).await;
    assert_eq!(unknown.json()["__type"], "UnknownOperationException");
    let unsigned = client().post(manager.endpoint_url()).send().await.unwrap();
    assert_eq!(unsigned.status(), 400);
    let nameless = call(&manager, "GetSecretValue", "eu-west-1", json!({})).await;
    assert_eq!(nameless.json()["__type"], "InvalidParameterException");
}

#[tokio::test]
async fn faults_meet_the_next_calls_or_all_of_them() {
    let manager = SecretsManager::start(0).await.unwrap();
    manager.put("docs", "one");
    manager.fail_next(2, SecretsFault::Throttling);
    for _ in 0..2 {
        assert_eq!(get(&manager, "docs").await.json()["__type"], "ThrottlingException");
    }
    assert_eq!(get(&manager, "docs").await.status, 200);
    for (fault, status, kind) in [
        (SecretsFault::NotFound, 400, "ResourceNotFoundException"),
        (SecretsFault::AccessDenied, 400, "AccessDeniedException"),
        (SecretsFault::Internal, 500, "InternalServiceError"),
    ] {
        manager.set_fault(Some(fault));
        let response = get(&manager, "docs").await;
        assert_eq!((response.status, &response.json()["__type"]), (status, &json!(kind)));
    }
    manager.set_fault(None);
    assert_eq!(get(&manager, "docs").await.status, 200);
    assert_eq!(manager.fetch_count("docs"), 7);

    manager.set_fault(Some(SecretsFault::Hang));
    let hanging = tokio::time::timeout(Duration::from_millis(100), get(&manager, "docs")).await;
    assert!(hanging.is_err());
    manager.shutdown().await;
}

#[tokio::test]
async fn responses_are_damaged_on_their_way() {
    let manager = SecretsManager::start(0).await.unwrap();
    manager.put("docs", "one");
    let whole = get(&manager, "docs").await.text;
    manager.set_fault(Some(SecretsFault::Truncated));
    let half = get(&manager, "docs").await;
    assert_eq!((half.status, half.text.as_str()), (200, &whole[..whole.len() / 2]));
    manager.set_fault(Some(SecretsFault::WithoutValue));
    assert_eq!(get(&manager, "docs").await.json(), json!({}));
    manager.set_fault(Some(SecretsFault::Page));
    assert!(get(&manager, "docs").await.text.starts_with("<html>"));
    manager.set_fault(Some(SecretsFault::BrokenOff));
    let broken = client().post(manager.endpoint_url());
    let broken = broken.header("x-amz-target", "secretsmanager.GetSecretValue").body(r#"{"SecretId": "docs"}"#);
    let scope = "AKIDEXAMPLE/20260131/eu-west-1/secretsmanager/aws4_request";
    let broken = broken.header("authorization", format!("AWS4-HMAC-SHA256 Credential={scope}, Signature=0"));
    assert!(broken.send().await.unwrap().bytes().await.is_err());
}

#[tokio::test]
async fn a_fault_of_one_secret_leaves_the_others_alone() {
    let manager = SecretsManager::start(0).await.unwrap();
    manager.put("docs", "one");
    manager.put_binary("other", &[0, 1]);
    manager.set_secret_fault("docs", Some(SecretsFault::AccessDenied));
    assert_eq!(get(&manager, &manager.arn("docs", "eu-west-1")).await.status, 400);
    assert_eq!(get(&manager, "other").await.json()["SecretBinary"], "AAE=");
    manager.set_secret_fault("docs", None);
    assert_eq!(get(&manager, "docs").await.status, 200);
    manager.delete("docs");
    assert_eq!(get(&manager, "docs").await.json()["__type"], "ResourceNotFoundException");
}
