import type { Namespace } from '../../helpers/namespace.ts'

/**
 * What a thief of the only key on disk can do: OpenSSL signs a leaf for any name with it, and no
 * code of Rootling gets to say no. `scope` is the directory with the intermediate. Returns PEM, the
 * certificate with the intermediate behind it.
 */
export async function signWithStolenKey(
  namespace: Namespace,
  scope: string,
  name: string,
): Promise<{ readonly key: string; readonly cert: string }> {
  const script = `
    set -eu
    scope=$1; name=$2
    directory=$(mktemp -d)
    cd "$directory"
    printf '[req]\\nprompt=no\\ndistinguished_name=s\\n[s]\\nO=Rootling tests\\n' > leaf.cnf
    openssl req -x509 -config leaf.cnf -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 \\
      -CA "$scope/intermediate.pem" -CAkey "$scope/intermediate-key.pem" \\
      -keyout leaf.key -out leaf.crt -addext "subjectAltName=DNS:$name" \\
      -addext basicConstraints=critical,CA:FALSE -addext authorityKeyIdentifier=keyid \\
      -addext keyUsage=critical,digitalSignature -addext extendedKeyUsage=serverAuth >&2
    cat leaf.crt "$scope/intermediate.pem"
    echo SPLIT
    cat leaf.key`
  const { stdout } = await namespace.must('sh', ['-c', script, 'sh', scope, name])
  const [cert = '', key = ''] = stdout.split('SPLIT\n')
  return { cert, key }
}
