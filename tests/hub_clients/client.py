"""Downloads or finds a model with a hub's own client: client.py hf|modelscope NAME [--offline] [--to FOLDER].

Prints the folder. Runs in the environment that hub_clients_test.py makes.
"""

import argparse

parser = argparse.ArgumentParser()
parser.add_argument("hub", choices=["hf", "modelscope"])
parser.add_argument("name")
parser.add_argument("--offline", action="store_true")
parser.add_argument("--to")
options = parser.parse_args()
if options.hub == "hf":
    from huggingface_hub import snapshot_download
else:
    from modelscope import snapshot_download
folder = {"local_dir": options.to} if options.to else {}
print(snapshot_download(options.name, local_files_only=options.offline, **folder))
