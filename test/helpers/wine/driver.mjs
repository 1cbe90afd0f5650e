// Runs under Wine, and starts programs there for a test on the other side: fstat of a descriptor that
// Linux opened says EBADF, so each program gets pipes of Windows. One TCP connection is one program:
// it takes a line of JSON (args, cwd, env, input), and later the line "kill"; it answers with lines.
// A line with `simulator` is of shim.go: that script runs in a thread of this process.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, renameSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { createInterface } from 'node:readline'
import { Worker } from 'node:worker_threads'

const [portFile] = process.argv.slice(2)
const server = createServer((socket) => {
  let child
  const say = (message) => socket.writable && socket.write(`${JSON.stringify(message)}\n`)
  socket.on('error', () => child?.kill())
  createInterface({ input: socket }).on('line', (line) => {
    if (line === 'kill') return child?.kill()
    const { simulator, args, cwd, env, input } = JSON.parse(line)
    const end = (exitCode) => {
      say({ exitCode })
      socket.end()
    }
    const pass = (program) => {
      for (const name of ['stdout', 'stderr'])
        program[name].setEncoding('utf8').on('data', (text) => say({ [name]: text }))
    }
    if (simulator !== undefined) {
      const thread = new Worker(simulator, { argv: args, stdout: true, stderr: true })
      pass(thread)
      let failure = 0
      thread.on('error', (error) => {
        say({ stderr: `${error.stack}\n` })
        failure = 1
      })
      // What the thread has printed arrives before the end of its streams, not before `exit`.
      const ends = [thread.stdout, thread.stderr].map((stream) => once(stream, 'end'))
      thread.on('exit', (code) => void Promise.all(ends).then(() => end(code || failure)))
      return
    }
    mkdirSync(cwd, { recursive: true })
    child = spawn(process.execPath, args, { cwd, env: { ...process.env, ...env } })
    child.stdin.on('error', () => undefined)
    child.stdin.end(input ?? '')
    pass(child)
    child.on('error', (error) => say({ stderr: error.message, exitCode: 127 }))
    child.on('close', end)
  })
})
server.listen(0, '127.0.0.1', () => {
  process.env.SIM_PORT = String(server.address().port)
  writeFileSync(`${portFile}.tmp`, process.env.SIM_PORT)
  renameSync(`${portFile}.tmp`, portFile)
})
