import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Paths;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.apache.rocketmq.common.message.MessageDecoder;
import org.apache.rocketmq.filter.FilterFactory;
import org.apache.rocketmq.filter.expression.EvaluationContext;
import org.apache.rocketmq.filter.expression.Expression;

/**
 * Has the reference's filter judge every message of messages.txt by every expression of expressions.txt and by as many
 * random ones as are asked for, and prints what it said: one line for each expression, the answers in the messages' order
 * (T true, F false, N null, E the evaluation failed), or a single X when the expression is refused. A tab parts both.
 */
public class Answers {
    static final Random RANDOM = new Random(4711);
    static final String[] NAMES = {"a", "b", "c", "flag", "missing", "_x", "TAGS"};
    static final String[] WHOLE = {"0", "1", "3", "5", "7", "10", "3000000000", "9223372036854775807", "5L"};
    static final String[] REAL = {"5.0", "3.5", ".5", "5.", "1E1", "2.5e-3", "1e30"};
    static final String[] TEXTS = {"''", "'x'", "'5'", "'5.0'", "'true'", "'it''s'", "'a b'", "'\u00e4\u6d88'"};

    static String any(String[] of) {
        return of[RANDOM.nextInt(of.length)];
    }

    static String word(String w) {
        switch (RANDOM.nextInt(4)) {
            case 0:
                return w.toLowerCase();
            case 1:
                return w.charAt(0) + w.substring(1).toLowerCase();
            default:
                return w;
        }
    }

    static String operand(int depth) {
        switch (RANDOM.nextInt(depth > 0 ? 16 : 13)) {
            case 0:
                return any(REAL);
            case 1:
            case 2:
                return any(TEXTS);
            case 3:
            case 4:
            case 5:
                return any(WHOLE);
            case 6:
                return word(any(new String[] {"TRUE", "FALSE", "NULL"}));
            case 7:
                return "-" + operand(depth - 1);
            case 13:
                return "(" + or(depth - 1) + ")";
            case 14:
                return word("NOT") + " " + operand(depth - 1);
            case 15:
                return "+" + operand(depth - 1);
            default:
                return any(NAMES);
        }
    }

    /** Mostly what makes sense, sometimes not. */
    static String number() {
        int n = RANDOM.nextInt(12);
        return n < 6 ? any(WHOLE) : n < 9 ? any(REAL) : n < 10 ? "-" + any(WHOLE) : operand(0);
    }

    static String condition(int depth) {
        String left = RANDOM.nextInt(5) == 0 ? operand(depth) : any(NAMES);
        String not = RANDOM.nextInt(3) == 0 ? word("NOT") + " " : "";
        switch (RANDOM.nextInt(9)) {
            case 0:
                return left + " " + word("IS") + " " + not + word("NULL");
            case 1:
                return left + " " + not + word("BETWEEN") + " " + number() + " " + word("AND") + " " + number();
            case 2:
                StringBuilder list = new StringBuilder(any(TEXTS));
                for (int i = RANDOM.nextInt(7); i > 0; i--) {
                    list.append(", ").append(any(TEXTS));
                }
                return left + " " + not + word("IN") + " (" + list + ")";
            case 3:
            case 4:
                return left + any(new String[] {" > ", " >= ", "<", "<="}) + number();
            case 5:
                return left + any(new String[] {" = ", "=", " <> "}) + any(TEXTS);
            case 6:
                return left + any(new String[] {" = ", " <> ", " > ", " <= "}) + any(NAMES);
            default:
                return left + any(new String[] {" = ", " <> "}) + operand(depth);
        }
    }

    static String and(int depth) {
        StringBuilder s = new StringBuilder(RANDOM.nextInt(6) == 0 ? operand(depth) : condition(depth));
        for (int i = RANDOM.nextInt(3); i > 0; i--) {
            s.append(" ").append(word("AND")).append(" ").append(condition(depth));
        }
        return s.toString();
    }

    static String or(int depth) {
        StringBuilder s = new StringBuilder(and(depth));
        for (int i = RANDOM.nextInt(3); i > 1; i--) {
            s.append(" ").append(word("OR")).append(" ").append(and(depth));
        }
        return s.toString();
    }

    static String answer(Expression compiled, Map<String, String> message) {
        EvaluationContext context = new EvaluationContext() {
            @Override
            public Object get(String name) {
                return message.get(name);
            }

            @Override
            public Map<String, Object> keyValues() {
                return new HashMap<>(message);
            }
        };
        try {
            Object said = compiled.evaluate(context);
            return said == null ? "N" : said instanceof Boolean ? (Boolean) said ? "T" : "F" : "?";
        } catch (Throwable e) {
            return "E";
        }
    }

    /** \n, \r, \t, \f, \\ and four hexadecimal digits behind a u. */
    static String unescape(String s) {
        StringBuilder out = new StringBuilder();
        for (int i = 0; i < s.length(); i++) {
            char c = s.charAt(i);
            if (c != '\\') {
                out.append(c);
                continue;
            }
            char e = s.charAt(++i);
            int at = "nrtf\\".indexOf(e);
            out.append(at >= 0 ? "\n\r\t\f\\".charAt(at) : (char) Integer.parseInt(s.substring(i + 1, i + 5), 16));
            i += at >= 0 ? 0 : 4;
        }
        return out.toString();
    }

    public static void main(String[] args) throws Exception {
        List<Map<String, String>> messages = new ArrayList<>();
        for (String line : Files.readAllLines(Paths.get(args[0]), StandardCharsets.UTF_8)) {
            StringBuilder message = new StringBuilder();
            for (String pair : line.isEmpty() ? new String[0] : line.split("\t")) {
                int at = pair.indexOf('=');
                message.append(pair, 0, at).append('\u0001').append(unescape(pair.substring(at + 1))).append('\u0002');
            }
            messages.add(MessageDecoder.string2messageProperties(message.toString()));
        }
        List<String> expressions = new ArrayList<>(Files.readAllLines(Paths.get(args[1]), StandardCharsets.UTF_8));
        for (int i = Integer.parseInt(args[2]); i > 0; i--) {
            expressions.add(or(RANDOM.nextInt(4)));
        }
        PrintStream out = new PrintStream(System.out, false, "UTF-8");
        for (String line : expressions) {
            StringBuilder said = new StringBuilder();
            try {
                Expression compiled = FilterFactory.INSTANCE.get("SQL92").compile(unescape(line));
                for (Map<String, String> message : messages) {
                    said.append(answer(compiled, message));
                }
            } catch (Throwable e) {
                said.append("X");
            }
            out.print(said + "\t" + line + "\n");
        }
        out.flush();
    }
}
