from common.bucket_paths import mounted_path


def test_a_bucket_is_where_vertex_mounts_it() -> None:
    assert mounted_path("gs://bucket/a/b") == "/gcs/bucket/a/b"
    assert mounted_path("/tmp/a") == "/tmp/a"
    assert mounted_path("relative") == "relative"
