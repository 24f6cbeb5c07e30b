"""What is passed on holds neither credentials nor local folders."""

from recsys.privacy import for_others, without_credentials


def test_urls_lose_user_and_password():
    text = "storage=postgresql://ann:s3cret@host/db data=sqlite:///shop.db mail ann@host"
    assert without_credentials(text) == text.replace("ann:s3cret@", "")
    assert for_others("mysql://ann:two words@host/db") == "mysql://host/db"


def test_absolute_paths_lose_their_folders_at_any_depth():
    config = {"data": {"path": "/home/ann/shop.csv", "ks": [5]}, "files": ["/a/b.csv", "c/d.csv"]}
    assert for_others(config) == {
        "data": {"path": "shop.csv", "ks": [5]},
        "files": ["b.csv", "c/d.csv"],
    }
