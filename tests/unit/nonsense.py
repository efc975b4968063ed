"""Variables of a shell that are meant for something else, each with a value that breaks it."""

NOBODY = "http://127.0.0.1:9"
PROXIES = {
    variable: NOBODY
    for name in ("http_proxy", "https_proxy", "all_proxy")
    for variable in (name, name.upper())
}
_AWS = (
    *("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN", "SECURITY_TOKEN", "PROFILE"),
    *("DEFAULT_PROFILE", "CONFIG_FILE", "SHARED_CREDENTIALS_FILE", "CA_BUNDLE", "REGION"),
    *("DEFAULT_REGION", "ENDPOINT_URL", "ENDPOINT_URL_S3", "DEFAULTS_MODE", "RETRY_MODE"),
    *("MAX_ATTEMPTS", "S3_US_EAST_1_REGIONAL_ENDPOINT", "STS_REGIONAL_ENDPOINTS"),
    *("REQUEST_CHECKSUM_CALCULATION", "RESPONSE_CHECKSUM_VALIDATION", "DATA_PATH"),
)
NONSENSE = {
    **PROXIES,
    **{f"AWS_{name}": "nonsense" for name in _AWS},
    **dict.fromkeys(("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"), "/nonsense"),
    **{"MLFLOW_TRACKING_URI": NOBODY, "KUBECONFIG": "/nonsense", "LANG": "C", "LC_ALL": "C"},
}
