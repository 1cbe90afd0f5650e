# Runs all programs in turn, round by round, and prints for each process with all its children:
# [CPU ms, wall ms, exit code, peak memory in KiB]. Node has no wait4.
import json
import os
import shutil
import sys
import time

order = json.load(sys.stdin)
null = os.open(os.devnull, os.O_RDWR)
quiet = [(os.POSIX_SPAWN_DUP2, null, descriptor) for descriptor in (0, 1, 2)]
samples = {name: [] for name in order["commands"]}
for _ in range(order["rounds"]):
    for name, command in order["commands"].items():
        for directory in command.get("empty", []):
            shutil.rmtree(directory, ignore_errors=True)
            os.mkdir(directory)
        os.chdir(command["cwd"])
        begun = time.perf_counter()
        child = os.posix_spawnp(
            command["argv"][0], command["argv"], command["env"], file_actions=quiet
        )
        _, status, usage = os.wait4(child, 0)
        wall = time.perf_counter() - begun
        cpu = usage.ru_utime + usage.ru_stime
        code = os.waitstatus_to_exitcode(status)
        samples[name].append([cpu * 1000, wall * 1000, code, usage.ru_maxrss])
json.dump(samples, sys.stdout)
