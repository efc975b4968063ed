from mlops_infra.credentials import _CredentialsProvider


def test_each_creation_gives_other_credentials_of_the_right_form() -> None:
    made = [_CredentialsProvider().create({}) for _ in range(20)]
    for key, length in (("access_key", 20), ("secret_key", 40)):
        values = {result.outs[key] for result in made}
        assert len(values) == len(made)
        assert all(len(value) == length and value.isalnum() for value in values)
    assert len({result.id for result in made}) == len(made)


def test_the_id_tells_nothing_of_the_secrets() -> None:
    result = _CredentialsProvider().create({})
    assert result.outs["access_key"] not in result.id
    assert result.outs["secret_key"] not in result.id


def test_nothing_makes_existing_credentials_change() -> None:
    provider = _CredentialsProvider()
    olds = provider.create({}).outs
    for news in ({}, {"access_key": None, "secret_key": None}, {"access_key": "another"}):
        assert provider.diff("credentials-1", olds, news).changes is False
