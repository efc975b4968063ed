"""A client of ML Metadata's server, with the packages of its image: PORT SECONDS.

It writes as Kubeflow's driver does, without trying again: a context that is there already is taken,
and any other call that fails ends it with an error. At the end it prints what it wrote and what the
server has.
"""

import json
import sys
import time

import grpc
from ml_metadata.proto import metadata_store_pb2 as proto
from ml_metadata.proto import metadata_store_service_pb2 as service
from ml_metadata.proto import metadata_store_service_pb2_grpc as stubs


def main() -> None:
    port, seconds = sys.argv[1], float(sys.argv[2])
    store = stubs.MetadataStoreServiceStub(grpc.insecure_channel(f"127.0.0.1:{port}"))
    kind = proto.ContextType(name="system.PipelineRun", properties={"text": proto.STRING})
    put = store.PutContextType(
        service.PutContextTypeRequest(context_type=kind, can_add_fields=True)
    )
    written = []
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        name = f"航班 größe 🍣 {len(written)}"
        context = proto.Context(type_id=put.type_id, name=name)
        context.properties["text"].string_value = name
        try:
            store.PutContexts(service.PutContextsRequest(contexts=[context]))
        except grpc.RpcError as error:
            # Written by a try whose answer was lost with the database: the driver looks it up then.
            if error.code() is not grpc.StatusCode.ALREADY_EXISTS:
                raise
        written.append(name)
        print("written", flush=True)
        time.sleep(0.05)
    stored = store.GetContexts(service.GetContextsRequest()).contexts
    names = sorted(context.name for context in stored)
    texts = sorted(context.properties["text"].string_value for context in stored)
    print(json.dumps({"written": sorted(written), "names": names, "texts": texts}))


if __name__ == "__main__":
    main()
