//! Prints who the AWS SDK for Rust is by its default provider chain; the endpoint comes from `AWS_ENDPOINT_URL_STS`.

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let config = aws_config::load_from_env().await;
    match aws_sdk_sts::Client::new(&config).get_caller_identity().send().await {
        Ok(who) => println!("{}", who.arn().unwrap_or_default()),
        Err(error) => {
            eprintln!("{error:?}");
            std::process::exit(1);
        }
    }
    Ok(())
}
