import java.io.FileInputStream;
import java.net.URI;
import java.net.URL;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.security.KeyStore;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;
import java.time.Duration;
import java.util.Arrays;
import javax.net.ssl.HttpsURLConnection;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;

/**
 * URL ROOTS PASSWORD P12…: asks with each PKCS #12 file (`-`: none), by both of Java's HTTP clients, and prints
 * `CLIENT FILE answered BODY` or `CLIENT FILE refused ERROR`, a line each.
 */
public class Mutual {
  interface Call {
    String body() throws Exception;
  }

  public static void main(String[] args) throws Exception {
    String url = args[0];
    for (String file : Arrays.asList(args).subList(3, args.length)) {
      SSLContext context = contextOf(args[1], file, args[2].toCharArray());
      report("HttpsURLConnection", file, () -> byConnection(url, context));
      report("HttpClient", file, () -> byClient(url, context));
    }
    System.exit(0);
  }

  static void report(String client, String file, Call call) {
    String said;
    try {
      said = "answered " + call.body();
    } catch (Exception error) {
      said = "refused " + error;
    }
    System.out.println(client + " " + file + " " + said.replaceAll("\\s+", " "));
  }

  static String byConnection(String url, SSLContext context) throws Exception {
    HttpsURLConnection connection = (HttpsURLConnection) new URL(url).openConnection();
    connection.setSSLSocketFactory(context.getSocketFactory());
    connection.setRequestProperty("Accept", "application/json");
    connection.setReadTimeout(10_000);
    return new String(connection.getInputStream().readAllBytes());
  }

  static String byClient(String url, SSLContext context) throws Exception {
    // On HTTP/2 it misses a refusal now and then and waits for its time-out, openssl s_server's too.
    HttpClient client =
        HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).sslContext(context).build();
    HttpRequest request =
        HttpRequest.newBuilder(URI.create(url))
            .timeout(Duration.ofSeconds(10))
            .header("Accept", "application/json")
            .build();
    return client.send(request, HttpResponse.BodyHandlers.ofString()).body();
  }

  static SSLContext contextOf(String root, String file, char[] password) throws Exception {
    KeyStore roots = KeyStore.getInstance(KeyStore.getDefaultType());
    roots.load(null, null);
    try (FileInputStream in = new FileInputStream(root)) {
      for (Certificate each : CertificateFactory.getInstance("X.509").generateCertificates(in)) {
        roots.setCertificateEntry("root " + roots.size(), each);
      }
    }
    TrustManagerFactory trust = TrustManagerFactory.getInstance("PKIX");
    trust.init(roots);
    KeyManagerFactory keys = KeyManagerFactory.getInstance("SunX509");
    KeyStore own = KeyStore.getInstance("PKCS12");
    own.load(null, null);
    if (!file.equals("-")) {
      try (FileInputStream in = new FileInputStream(file)) {
        own.load(in, password);
      }
    }
    keys.init(own, password);
    SSLContext context = SSLContext.getInstance("TLS");
    context.init(keys.getKeyManagers(), trust.getTrustManagers(), null);
    return context;
  }
}
