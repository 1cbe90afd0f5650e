import java.io.*;
import java.net.*;
import java.nio.file.*;
import java.security.KeyStore;
import java.security.cert.*;
import java.util.*;
import javax.net.ssl.*;

/**
 * Asks HTTPS servers by HttpsURLConnection, and judges the certificates of clients as a server does. The argument is
 * the port of a proxy, which leads to 127.0.0.1 whatever the host. Each line of standard input is tab-separated: root
 * file, "server", port, host; or root file, "client", file of the client's chain. Prints a line for each: "accepted" or
 * "refused: " and the reason.
 */
public class Ask {
  static final Map<String, SSLContext> known = new HashMap<>();
  static final Map<String, X509TrustManager> managers = new HashMap<>();

  public static void main(String[] args) throws Exception {
    Proxy proxy = new Proxy(Proxy.Type.HTTP, new InetSocketAddress("127.0.0.1", Integer.parseInt(args[0])));
    BufferedReader in = new BufferedReader(new InputStreamReader(System.in, "UTF-8"));
    for (String line; (line = in.readLine()) != null; ) {
      String[] field = line.split("\t");
      if (!managers.containsKey(field[0])) {
        trust(field[0]);
      }
      try {
        if (field[1].equals("client")) {
          List<X509Certificate> chain = readAll(field[2]);
          managers.get(field[0]).checkClientTrusted(chain.toArray(new X509Certificate[0]), "EC");
        } else {
          fetch(field[2], field[3], known.get(field[0]), proxy);
        }
        System.out.println("accepted");
      } catch (IOException | CertificateException e) {
        System.out.println("refused: " + String.valueOf(e.getMessage()).replace('\n', ' '));
      }
    }
  }

  static void fetch(String port, String host, SSLContext context, Proxy proxy) throws IOException {
    URL url = new URL("https", host.contains(":") ? "[" + host + "]" : host, Integer.parseInt(port), "/");
    HttpsURLConnection connection = (HttpsURLConnection) url.openConnection(proxy);
    connection.setSSLSocketFactory(context.getSocketFactory());
    connection.getResponseCode();
    connection.disconnect();
  }

  static void trust(String root) throws Exception {
    KeyStore store = KeyStore.getInstance(KeyStore.getDefaultType());
    store.load(null, null);
    store.setCertificateEntry("root", readAll(root).get(0));
    TrustManagerFactory factory = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
    factory.init(store);
    managers.put(root, (X509TrustManager) factory.getTrustManagers()[0]);
    SSLContext context = SSLContext.getInstance("TLS");
    context.init(null, factory.getTrustManagers(), null);
    known.put(root, context);
  }

  static List<X509Certificate> readAll(String file) throws CertificateException, IOException {
    List<X509Certificate> all = new ArrayList<>();
    try (InputStream in = Files.newInputStream(Paths.get(file))) {
      for (Certificate one : CertificateFactory.getInstance("X.509").generateCertificates(in)) {
        all.add((X509Certificate) one);
      }
    }
    return all;
  }
}
