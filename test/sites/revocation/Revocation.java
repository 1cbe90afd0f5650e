import java.io.FileInputStream;
import java.security.cert.*;
import java.util.*;

/** Whether Java's PKIX validator, asking the responder that the leaf names, accepts a chain. */
public class Revocation {
  public static void main(String[] args) throws Exception {
    var factory = CertificateFactory.getInstance("X.509");
    Collection<? extends Certificate> root;
    try (var file = new FileInputStream(args[0])) { root = factory.generateCertificates(file); }
    Collection<? extends Certificate> chain;
    try (var file = new FileInputStream(args[1])) { chain = factory.generateCertificates(file); }
    var anchor = new TrustAnchor((X509Certificate) root.iterator().next(), null);
    var parameters = new PKIXParameters(Set.of(anchor));
    var validator = CertPathValidator.getInstance("PKIX");
    var checker = (PKIXRevocationChecker) validator.getRevocationChecker();
    // The root's key is gone, so nobody can answer for the intermediate.
    checker.setOptions(EnumSet.of(
        PKIXRevocationChecker.Option.ONLY_END_ENTITY, PKIXRevocationChecker.Option.NO_FALLBACK));
    parameters.addCertPathChecker(checker);
    try {
      validator.validate(factory.generateCertPath(new ArrayList<>(chain)), parameters);
      System.out.println("accepted");
    } catch (CertPathValidatorException error) {
      System.out.println(error.getReason() + ": " + error.getMessage());
    }
  }
}
