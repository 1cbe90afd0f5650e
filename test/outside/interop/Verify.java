import java.io.*;
import java.nio.file.*;
import java.security.cert.*;
import java.util.*;

/**
 * Judges chains with Java's CertPathValidator. Each line of standard input is tab-separated:
 * root file, file of intermediates, leaf file, purpose (an OID of extKeyUsage), GeneralName tag (1 mail, 2 DNS, 6 URI,
 * 7 address), name (empty: any).
 * Prints a line for each: "accepted" or "refused: " and the reason.
 */
public class Verify {
  public static void main(String[] args) throws Exception {
    BufferedReader in = new BufferedReader(new InputStreamReader(System.in, "UTF-8"));
    for (String line; (line = in.readLine()) != null; ) {
      String[] field = line.split("\t");
      try {
        validate(field);
        System.out.println("accepted");
      } catch (Refused e) {
        System.out.println("refused: " + e.getMessage());
      }
    }
  }

  static class Refused extends Exception {
    Refused(Exception cause) {
      super(String.valueOf(cause.getMessage()).replace('\n', ' '));
    }
  }

  static void validate(String[] field) throws Refused {
    try {
      TrustAnchor anchor = new TrustAnchor(read(field[0]), null);
      PKIXParameters parameters = new PKIXParameters(Collections.singleton(anchor));
      parameters.setRevocationEnabled(false);
      X509CertSelector target = new X509CertSelector();
      target.setExtendedKeyUsage(Collections.singleton(field[3]));
      if (field.length > 5) {
        target.addSubjectAlternativeName(Integer.parseInt(field[4]), field[5]);
      }
      parameters.setTargetCertConstraints(target);
      List<X509Certificate> chain = new ArrayList<>(Arrays.asList(read(field[2])));
      chain.addAll(readAll(field[1]));
      CertPath path = CertificateFactory.getInstance("X.509").generateCertPath(chain);
      CertPathValidator.getInstance("PKIX").validate(path, parameters);
    } catch (java.security.GeneralSecurityException | IOException | RuntimeException e) {
      // Java 17 throws a NullPointerException for a URI without a host.
      throw new Refused(e);
    }
  }

  static X509Certificate read(String file) throws CertificateException, IOException {
    return readAll(file).get(0);
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
