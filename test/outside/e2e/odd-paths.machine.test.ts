import { describe, expect, onTestFinished, test } from 'vitest'
import { parseAnswer } from '../../helpers/rootling.ts'
import { openPeople, peopleUnavailable } from '../adversary/people.ts'

// A home whose name no program should stumble over.

const obstacle = await peopleUnavailable('certutil', 'keytool')
const skipNote = obstacle === null ? '' : ` [skipped: ${obstacle}]`

describe.skipIf(obstacle !== null)(`a home with a name of many letters${skipNote}`, () => {
  test.each(['C', 'de_DE.UTF-8'])('has its stores written, in the locale %s', async (LC_ALL) => {
    const people = await openPeople()
    onTestFinished(() => people.namespace.close())
    const { ada, scratch } = people
    const home = `${scratch}/Jürgen "d'Oé", 家 $HOME`
    await people.namespace.must('install', ['-d', '-o', 'ada', home])
    const keystore = `${home}/.sdkman/candidates/java/17 ß/lib/security/cacerts`
    const database = `${home}/.local/share/pki/nssdb`
    const prepare = `
      set -e
      mkdir -p "$(dirname "$1")" "$2"
      cp -L /etc/ssl/certs/java/cacerts "$1"
      chmod u+w "$1"
      certutil -N --empty-password -d "sql:$2"`
    expect(await ada.sh(prepare, keystore, database)).toMatchObject({ exitCode: 0 })
    const env = { HOME: home, LC_ALL }
    const stores = ['--yes', '--no-sudo', '--stores', 'java,nss', '--json']
    const act = async (...args: string[]) => {
      const { stdout, stderr } = await ada.rootling([...args, ...stores], { env })
      return (parseAnswer(stdout, stderr).stores ?? []).filter(({ store }) =>
        [`java:${keystore}`, `nss:${database}`].includes(store.id),
      )
    }
    const installed = { outcome: 'installed' }
    expect(await act('install')).toMatchObject([installed, installed])
    const issued = await ada.rootling(['localhost', '--out-dir', home], { env })
    expect(issued).toMatchObject({ exitCode: 0 })
    const removed = { outcome: 'removed' }
    expect(await act('uninstall')).toMatchObject([removed, removed])

    await ada.sh('chmod a-w "$1"', keystore)
    expect(await act('install')).toMatchObject([
      installed,
      { outcome: 'failed', reason: expect.stringMatching(/Permission denied/) },
    ])
  })
})
