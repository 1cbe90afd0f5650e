import { RootlingError } from '../errors.ts'
import { yamlLines, type YamlValue } from './yaml.ts'

/** An object of Kubernetes or of cert-manager, as `kubectl apply` reads it. */
type KubernetesObject = { readonly [key: string]: YamlValue }

/** What makes a local cluster issue certificates of this CA. */
export interface KubernetesTexts {
  /** The objects, in the order in which they are to be applied. */
  readonly objects: readonly KubernetesObject[]
  /** The same as YAML, with comments that say what the objects need and what they risk. */
  readonly yaml: string
}

export interface KubernetesNames {
  /** The name of the ClusterIssuer, with which the names of the other objects begin. */
  readonly name: string
  /** The namespace where cert-manager looks for the Secrets of a ClusterIssuer. */
  readonly namespace: string
}

export interface AcmeIssuer extends KubernetesNames {
  /** The URL of the ACME directory, as pods reach it. */
  readonly server: string
  /** PEM of the roots by which cert-manager knows the server. */
  readonly serverRoots: string
  /** PEM of the roots that pods are to trust. */
  readonly roots: string
  /** The key for the external account binding. */
  readonly eab: { readonly kid: string; readonly hmacKey: string }
}

export interface SigningIssuer extends KubernetesNames {
  readonly scope: string
  /** PEM of the certificate that signs, and of the root above it. */
  readonly chain: string
  /** PEM of the key that signs. */
  readonly key: string
  /** PEM of the root. */
  readonly root: string
}

/** Returns an issuer that orders each certificate from the daemon of this machine. */
export function acmeIssuer(issuer: AcmeIssuer): KubernetesTexts {
  const { name, namespace, server, serverRoots, roots, eab } = issuer
  const binding = `${name}-eab`
  const { hostname, port } = new URL(server)
  return texts(
    [
      'A cert-manager issuer for a local cluster (kind, k3d, minikube), which orders certificates from',
      'the daemon of Rootling on this machine by ACME. No key that signs enters the cluster. Apply it:',
      '  rootling kubernetes | kubectl apply -f -',
      '',
      `What it risks: with the key in the Secret ${binding} an ACME client can open an account, and get`,
      'certificates for every name of this CA whose challenge is met. Browsers here trust those.',
      '',
      `cert-manager must reach ${server},`,
      `where the daemon answers by its setting --acme-host ${hostname}. Let the cluster through the`,
      `firewall of this machine, to TCP port ${port}.`,
      '',
      'A name is proved by http-01: cert-manager shows a token through the ingress, asks for it itself,',
      'and then the daemon does, on port 80. So the name must lead to the ingress from both sides:',
      '- from this machine, where the cluster maps its ingress to port 80 here (kind, k3d):',
      '    rootling hosts add shop.test',
      '  and where the ingress has an address of its own (minikube, MetalLB), which the daemon asks only',
      '  with --allow-remote:',
      '    rootling hosts add shop.test --address 192.168.49.2',
      '    rootling daemon restart --allow-remote',
      "- from pods, by a line in the ConfigMap coredns of kube-system, with your ingress's Service:",
      '    rewrite name shop.test ingress-nginx-controller.ingress-nginx.svc.cluster.local',
      'Names under localhost and loopback addresses are the pod itself there, and refused. Wildcards',
      'need dns-01: a solver that writes to a DNS server which the daemon asks (--dns-resolver); local',
      'clusters have none.',
    ],
    [
      {
        comments: ['The key of the external account binding, made for this output.'],
        object: {
          apiVersion: 'v1',
          kind: 'Secret',
          metadata: { name: binding, namespace },
          type: 'Opaque',
          stringData: { secret: eab.hmacKey },
        },
      },
      {
        comments: [
          "An Ingress of the cluster's default class answers the challenges; for another one:",
          'ingress: { ingressClassName: traefik }',
        ],
        object: {
          ...clusterIssuer(name),
          spec: {
            acme: {
              server,
              caBundle: Buffer.from(serverRoots).toString('base64'),
              privateKeySecretRef: { name: `${name}-account` },
              externalAccountBinding: {
                keyID: eab.kid,
                keySecretRef: { name: binding, key: 'secret' },
              },
              solvers: [{ http01: { ingress: {} } }],
            },
          },
        },
      },
      rootFor(name, roots),
    ],
  )
}

/** Returns an issuer that signs in the cluster, with the key of a private scope. */
export function signingIssuer(issuer: SigningIssuer): KubernetesTexts {
  const { name, namespace, scope, chain, key, root } = issuer
  const secret = `${name}-ca`
  return texts(
    [
      'A cert-manager issuer for a local cluster, which signs with the private scope',
      `${scope} of Rootling. This text holds its signing key: keep it in no file. Apply it:`,
      `  rootling kubernetes --secret ${scope} | kubectl apply -f -`,
      '',
      `What it risks: the key may sign any name. Whoever may read Secrets in the namespace ${namespace},`,
      'or a copy of the etcd of the cluster, has the key, and whoever may create a Certificate there',
      'gets any name signed. So give the root only to programs of this cluster, and never put it into',
      'a trust store. Rootling keeps no record of what the cluster signs, and cannot revoke it.',
      `rootling ca forget ${scope} does not take the key out of the cluster; this does:`,
      `  kubectl -n ${namespace} delete secret ${secret}`,
    ],
    [
      {
        comments: ['The signing key, with its certificate and the root.'],
        object: {
          apiVersion: 'v1',
          kind: 'Secret',
          metadata: { name: secret, namespace },
          type: 'kubernetes.io/tls',
          stringData: { 'tls.crt': chain, 'tls.key': key },
        },
      },
      {
        comments: ['It can make certificates of servers alone, and no further CA.'],
        object: { ...clusterIssuer(name), spec: { ca: { secretName: secret } } },
      },
      rootFor(name, root),
    ],
  )
}

interface Commented {
  readonly comments: readonly string[]
  readonly object: KubernetesObject
  /** An object that may take the place of this one, as comments. */
  readonly instead?: { readonly comments: readonly string[]; readonly object: KubernetesObject }
}

const clusterIssuer = (name: string): KubernetesObject => ({
  apiVersion: 'cert-manager.io/v1',
  kind: 'ClusterIssuer',
  metadata: { name },
})

/** The public roots for pods, in the namespace that kubectl is set to. */
function rootFor(name: string, roots: string): Commented {
  const metadata = { name: `${name}-root` }
  return {
    comments: [
      'The public root for pods, in the namespace that kubectl uses. Mount it, and name its file:',
      'NODE_EXTRA_CA_CERTS adds it to the roots of Node; most other variables replace all roots.',
    ],
    object: { apiVersion: 'v1', kind: 'ConfigMap', metadata, data: { 'ca.crt': roots } },
    instead: {
      comments: [
        'With trust-manager, this in place of the ConfigMap puts it into every namespace:',
      ],
      object: {
        apiVersion: 'trust.cert-manager.io/v1alpha1',
        kind: 'Bundle',
        metadata,
        spec: { sources: [{ inLine: roots }], target: { configMap: { key: 'ca.crt' } } },
      },
    },
  }
}

function texts(head: readonly string[], documents: readonly Commented[]): KubernetesTexts {
  const blocks = documents.map(({ comments, object, instead }) => [
    '---',
    ...comments.map(comment),
    ...yamlLines(object),
    ...(instead === undefined
      ? []
      : ['', ...[...instead.comments, ...yamlLines(instead.object)].map(comment)]),
  ])
  const lines = [...head.map(comment), ...blocks.flat()]
  return { objects: documents.map(({ object }) => object), yaml: `${lines.join('\n')}\n` }
}

const comment = (line: string): string => (line === '' ? '#' : `# ${line}`)

/**
 * Throws `usage` unless a text can name an object of Kubernetes (an RFC 1123 label, with room for
 * the endings of the other names).
 */
export function checkLabel(option: string, text: string): void {
  if (/^[a-z0-9](?:[a-z0-9-]{0,48}[a-z0-9])?$/.test(text)) return
  throw new RootlingError('usage', `--${option} ${text} cannot be a name in Kubernetes.`, {
    hint: 'Use at most 50 lower-case letters, digits and hyphens, with no hyphen at either end',
  })
}
