import { test } from 'vitest'
import { command, ensureBuilt } from '../helpers/built.ts'
import { testNamespace } from '../helpers/test-namespace.ts'
test('x', { timeout: 300_000 }, async () => {
  ensureBuilt()
  const ns = await testNamespace()
  const cwd = `${ns.home}/project`
  await ns.writeFile(`${cwd}/.git/HEAD`, 'x')
  await ns.writeFile(
    `${cwd}/rootling.json`,
    JSON.stringify({
      version: 1,
      certificates: [
        { names: ['localhost'], cert: '.certs/a.pem', key: '.certs/a-key.pem' },
        { names: ['shop.test'], cert: '.certs/b.pem', key: '.certs/b-key.pem' },
      ],
      permit: ['dev.example.com'],
      hosts: { 'shop.test': '127.0.0.1' },
      env: { file: '.env.rootling' },
    }),
  )
  const go = async (...args: string[]) => {
    const t = performance.now()
    const r = await ns.run('env', [`--chdir=${cwd}`, process.execPath, ...args])
    console.log(
      Math.round(performance.now() - t),
      args.slice(-4).join(' '),
      r.exitCode,
      r.stdout.slice(0, 1500),
      r.stderr.slice(0, 800),
    )
    return r
  }
  await go(command, 'up', '--yes', '--allow', 'permit')
  const time = async (words: string) => {
    const r = await ns.run('bash', [
      '-c',
      `cd ${cwd}; TIMEFORMAT='%R %U %S'; for i in 1 2 3; do time ${words} >/dev/null 2>&1; done`,
    ])
    console.log(words.slice(-40), r.stderr.replaceAll('\n', ' | '))
  }
  const n = process.execPath
  for (let i = 0; i < 2; i++) {
    await time(`${n} -e 0`)
    await time(`${n} ${command} up`)
    await time(`${n} ${command} install --yes`)
    await time(`${n} ${command} up --stores none`)
  }
  await ns.run('env', [
    `--chdir=${cwd}`,
    n,
    '--cpu-prof',
    '--cpu-prof-dir=/work/wt-project/node_modules/.prof',
    command,
    'up',
  ])
})
