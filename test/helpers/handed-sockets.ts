import { expect } from 'vitest'

/**
 * A program of Python that binds sockets, hands them over as a service manager does
 * (sd_listen_fds(3)), and becomes another program, which has its process number. Its arguments:
 * sockets (`tcp 127.0.0.1 8443`, and so on, between commas; `udp`, `unix` and `file` are what no
 * server listens on), the names with `:` between them, and the program with its arguments. A
 * variable that is set already stays as it is.
 */
const handOverScript = `
import os, socket, sys
sockets, names, *command = sys.argv[1:]
made = []
for word in sockets.split(','):
    kind, host, port = word.split(' ')
    if kind == 'file':
        made.append(os.open('/dev/null', os.O_RDONLY))
        continue
    family = socket.AF_INET6 if ':' in host else socket.AF_INET
    if kind == 'unix':
        one = socket.socket(socket.AF_UNIX)
        one.bind(host)
    else:
        one = socket.socket(family, socket.SOCK_DGRAM if kind == 'udp' else socket.SOCK_STREAM)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        one.bind((host, int(port)))
    if kind == 'tcp':
        one.listen(16)
    made.append(one.detach())
high = [os.dup2(each, 100 + at) for at, each in enumerate(made)]
os.closerange(3, 100)
for at, each in enumerate(high):
    os.dup2(each, 3 + at, inheritable=True)
os.closerange(100, 200)
env = {'LISTEN_PID': str(os.getpid()), 'LISTEN_FDS': str(len(made)), 'LISTEN_FDNAMES': names, **os.environ}
os.execvpe(command[0], command, env)
`

/** Returns the command line that hands these sockets over to a program. */
export function handingOver(
  sockets: readonly (readonly [kind: string, host: string, port: number])[],
  names: readonly string[],
  command: readonly string[],
): [program: string, ...args: string[]] {
  expect(names).toHaveLength(sockets.length)
  const words = sockets.map((each) => each.join(' ')).join(',')
  return ['/usr/bin/python3', '-c', handOverScript, words, names.join(':'), ...command]
}
