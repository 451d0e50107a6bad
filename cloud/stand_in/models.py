"""The model registry, and endpoints."""

from cloud.stand_in.store import Call, RefusedError, Resource, Route, Store, full_name, now, relative

DEFAULT = "default"
V1 = "cloud.aiplatform.v1."
NEW = "0"  # id of the model that a request deploys


class Models:
    """Requests for models and endpoints."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._versions: dict[str, list[Resource]] = {}

    def routes(self) -> list[Route]:
        """The routes."""
        store = self._store
        return [
            ("POST", "models:upload", "UploadModelRequest", self._upload),
            ("GET", "models", None, self._list),
            ("GET", "(models/[^/:]+)", None, lambda call: self.version(call.ids[0])),
            ("GET", "(models/[^/:@]+):listVersions", None, self._list_versions),
            ("DELETE", "(models/[^/:]+):deleteVersion", None, self._delete_version),
            ("POST", "endpoints", "Endpoint", self._create_endpoint),
            ("GET", "endpoints", None, lambda call: store.listed("endpoints", call)),
            ("GET", "(endpoints/[^/:]+)", None, lambda call: store.get(call.ids[0])),
            ("PATCH", "(endpoints/[^/:]+)", "Endpoint", self._update_endpoint),
            ("POST", "(endpoints/[^/:]+):deployModel", "DeployModelRequest", self._deploy),
            ("POST", "(endpoints/[^/:]+):undeployModel", "UndeployModelRequest", self._undeploy),
        ]

    def version(self, path: str) -> Resource:
        """A version of a model by number or alias, or the default version.

        Raises:
            RefusedError: It does not exist.
        """
        base, _, wanted = path.partition("@")
        self._store.get(base)
        for each in self._versions[base]:
            if (wanted or DEFAULT) in (each["versionId"], *each["versionAliases"]):
                return each
        raise RefusedError(404, f"The model {path} is not found.")

    def _upload(self, call: Call) -> Resource:
        model = call.body.get("model", {})

        def check() -> None:
            if not model.get("displayName") or not model.get("containerSpec", {}).get("imageUri"):
                raise RefusedError(400, "A model needs displayName and containerSpec.imageUri.")
            if parent := call.body.get("parentModel"):
                self._store.get(relative(parent))

        def change() -> Resource:
            parent = call.body.get("parentModel")
            base = relative(parent) if parent else f"models/{self._store.next_id()}"
            if not parent:
                self._store.add(call.region, base, {"displayName": model["displayName"]})
            versions = self._versions.setdefault(base, [])
            number = str(1 + max((int(each["versionId"]) for each in versions), default=0))
            aliases = [*model.get("versionAliases", []), *([] if versions else [DEFAULT])]
            for each in versions:  # an alias belongs to one version
                each["versionAliases"] = [alias for alias in each["versionAliases"] if alias not in aliases]
            name = full_name(call.region, base)
            created = {**model, "name": name, "versionId": number, "versionAliases": aliases}
            versions.append({**created, "versionCreateTime": now()})
            return {"model": name, "modelVersionId": number}

        return self._store.operation(call, "upload", V1 + "UploadModelResponse", change, check)

    def _list(self, call: Call) -> Resource:
        found = self._store.listed("models", call)["models"]
        return {"models": [self.version(relative(each["name"])) for each in found]}

    def _list_versions(self, call: Call) -> Resource:
        self._store.get(call.ids[0])
        versions = self._versions[call.ids[0]]
        return {"models": [{**each, "name": f"{each['name']}@{each['versionId']}"} for each in versions]}

    def _delete_version(self, call: Call) -> Resource:
        version = self.version(call.ids[0])
        everywhere = [each for endpoint in self._store.children("endpoints") for each in endpoint["deployedModels"]]
        deployed = [(each["model"], each["modelVersionId"]) for each in everywhere]

        def check() -> None:
            if (version["name"], version["versionId"]) in deployed or DEFAULT in version["versionAliases"]:
                raise RefusedError(400, "A deployed version or the default version cannot be deleted.")

        def change() -> Resource:
            self._versions[call.ids[0].partition("@")[0]].remove(version)
            return {}

        return self._store.operation(call, "deleteVersion", "protobuf.Empty", change, check)

    def _create_endpoint(self, call: Call) -> Resource:
        def check() -> None:
            if not call.body.get("displayName"):
                raise RefusedError(400, "An endpoint needs displayName.")

        def change() -> Resource:
            empty: Resource = {"deployedModels": [], "trafficSplit": {}, "etag": self._store.next_id()}
            return self._store.add(call.region, f"endpoints/{self._store.next_id()}", {**call.body, **empty})

        return self._store.operation(call, "createEndpoint", V1 + "Endpoint", change, check)

    def _update_endpoint(self, call: Call) -> Resource:
        endpoint = self._store.get(call.ids[0])
        if call.body.get("etag", endpoint["etag"]) != endpoint["etag"]:
            raise RefusedError(409, "The endpoint has been changed: its etag differs.")
        if "trafficSplit" in call.query["updateMask"].split(","):
            split = call.body.get("trafficSplit", {})
            _check_split(split, [each["id"] for each in endpoint["deployedModels"]])
            endpoint.update(trafficSplit=split, etag=self._store.next_id(), updateTime=now())
        return endpoint

    def _deploy(self, call: Call) -> Resource:
        endpoint = self._store.get(call.ids[0])
        requested, split = call.body.get("deployedModel", {}), call.body.get("trafficSplit", {})

        def check() -> None:
            self.version(relative(requested.get("model", "")))
            if not requested.get("dedicatedResources", {}).get("machineSpec"):
                raise RefusedError(400, "A deployed model needs dedicatedResources.machineSpec.")
            if split:
                _check_split(split, [NEW, *(each["id"] for each in endpoint["deployedModels"])])

        def change() -> Resource:
            version = self.version(relative(requested["model"]))
            created = {**requested, "model": version["name"], "modelVersionId": version["versionId"]}
            created |= {"id": self._store.next_id(), "createTime": now()}
            endpoint["deployedModels"].append(created)
            if split:
                endpoint["trafficSplit"] = {created["id"] if key == NEW else key: share for key, share in split.items()}
            endpoint["etag"] = self._store.next_id()
            return {"deployedModel": created}

        return self._store.operation(call, "deployModel", V1 + "DeployModelResponse", change, check)

    def _undeploy(self, call: Call) -> Resource:
        endpoint, wanted = self._store.get(call.ids[0]), call.body.get("deployedModelId", "")
        split = call.body.get("trafficSplit", {})

        def check() -> None:
            others = [each["id"] for each in endpoint["deployedModels"] if each["id"] != wanted]
            if len(others) == len(endpoint["deployedModels"]):
                raise RefusedError(404, f"No model {wanted} is deployed.")
            if split:
                _check_split(split, others)
            if others and (split or endpoint["trafficSplit"]).get(wanted):
                raise RefusedError(400, f"The model {wanted} has traffic.")

        def change() -> Resource:
            endpoint["deployedModels"] = [each for each in endpoint["deployedModels"] if each["id"] != wanted]
            left = split or endpoint["trafficSplit"]
            endpoint["trafficSplit"] = {key: share for key, share in left.items() if key != wanted}
            endpoint["etag"] = self._store.next_id()
            return {}

        return self._store.operation(call, "undeployModel", V1 + "UndeployModelResponse", change, check)


def _check_split(split: Resource, known: list[str]) -> None:
    if unknown := sorted(set(split) - set(known)):
        raise RefusedError(400, f"The traffic split names {unknown[0]}, which is not deployed.")
    if sum(split.values()) != 100:
        raise RefusedError(400, f"The traffic split sums to {sum(split.values())}, not to 100.")
