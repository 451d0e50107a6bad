from common.bucket_paths import on_disk


def test_a_bucket_is_where_vertex_mounts_it() -> None:
    assert on_disk("gs://bucket/a/b") == "/gcs/bucket/a/b"
    assert on_disk("/tmp/a") == "/tmp/a"
    assert on_disk("relative") == "relative"
