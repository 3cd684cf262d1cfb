//! IAM as an HTTP client sees it. The SDK's view is tested with the command line that uses it.

use super::*;
use crate::aws_fault::AwsFault;
use crate::tests::client;

async fn call(iam: &Iam, form: &str) -> (u16, String) {
    let scope = "AKIDEXAMPLE/20260131/us-east-1/iam/aws4_request";
    let response = client()
        .post(iam.endpoint_url())
        .header("content-type", "application/x-www-form-urlencoded")
        .header("authorization", format!("AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0"))
        .body(format!("Version=2010-05-08&{form}"))
        .send()
        .await
        .unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

#[tokio::test]
async fn a_user_has_at_most_two_access_keys_and_a_deleted_one_makes_room() {
    let iam = Iam::start(0).await.unwrap();
    iam.create_user("reader");
    for _ in 0..2 {
        let (status, xml) = call(&iam, "Action=CreateAccessKey&UserName=reader").await;
        assert!(status == 200 && xml.contains(&format!("<SecretAccessKey>{SECRET_PREFIX}")), "{xml}");
    }
    let (status, xml) = call(&iam, "Action=CreateAccessKey&UserName=reader").await;
    assert!(status == 409 && xml.contains("<Code>LimitExceeded</Code>"), "{xml}");
    let keys = iam.keys("reader");
    iam.set_active(&keys[0], false);
    let (_, xml) = call(&iam, "Action=ListAccessKeys&UserName=reader").await;
    assert!(xml.contains("<Status>Inactive</Status>") && xml.contains("<IsTruncated>false</IsTruncated>"), "{xml}");
    assert!(!xml.contains(SECRET_PREFIX), "a listing has no secret: {xml}");
    let delete = format!("Action=DeleteAccessKey&UserName=reader&AccessKeyId={}", keys[0]);
    assert_eq!(call(&iam, &delete).await.0, 200);
    let (status, xml) = call(&iam, &delete).await;
    assert!(status == 404 && xml.contains("<Code>NoSuchEntity</Code>"), "{xml}");
    assert_eq!(call(&iam, "Action=CreateAccessKey&UserName=reader").await.0, 200);
    assert_eq!(iam.keys("reader").len(), 2);
}

#[tokio::test]
async fn unknown_users_and_operations_are_errors_and_faults_meet_their_operation() {
    let iam = Iam::start(0).await.unwrap();
    assert!(call(&iam, "Action=GetUser&UserName=nobody").await.1.contains("NoSuchEntity"));
    iam.create_user("reader");
    assert!(call(&iam, "Action=GetUser&UserName=reader").await.1.contains(":user/reader</Arn>"));
    assert!(call(&iam, "Action=TagUser&UserName=reader").await.1.contains("InvalidAction"));
    iam.set_operation_fault("CreateAccessKey", Some(AwsFault::AccessDenied));
    let (status, xml) = call(&iam, "Action=CreateAccessKey&UserName=reader").await;
    assert!(status == 403 && xml.contains("not authorized to perform: iam:CreateAccessKey"), "{xml}");
    assert_eq!(call(&iam, "Action=ListAccessKeys&UserName=reader").await.0, 200);
    assert_eq!(iam.calls().last().unwrap().operation, "ListAccessKeys");
}

#[tokio::test]
async fn a_key_works_when_it_is_active_known_everywhere_and_sent_with_its_own_secret() {
    let iam = Iam::start(0).await.unwrap();
    let (id, secret) = iam.add_key("reader");
    let keys = iam.access_keys();
    assert!(keys.work(&id, &secret) && !keys.work(&id, "another") && !keys.work("AKIAOTHER", &secret));
    iam.set_active(&id, false);
    assert!(!keys.work(&id, &secret));
    iam.set_propagation(Duration::from_secs(3600));
    let (_, xml) = call(&iam, "Action=CreateAccessKey&UserName=reader").await;
    let new = xml.split("<SecretAccessKey>").nth(1).unwrap().split('<').next().unwrap();
    assert!(!keys.work(&iam.keys("reader")[1], new));
    iam.shared().skip(Duration::from_secs(3600));
    assert!(keys.work(&iam.keys("reader")[1], new));
}
